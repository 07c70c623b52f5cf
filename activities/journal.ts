import { setTimeout as delay } from 'node:timers/promises';
import { activityInfo } from '@temporalio/activity';
import type { AuditRecord, Change } from '../domain/audit.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { isoTime } from '../domain/time.js';
import { canonicalBytes } from '../formats/jcs.js';
import { sha256 } from '../formats/sha256.js';
import type { Decision, DecisionVerdict } from './contract.js';

/** Where records of changes go. Answers once they are in the log for good. */
export interface Audit {
  append(records: readonly AuditRecord[]): Promise<unknown>;
}

export interface Entry {
  readonly change: Change;
  /** What makes this record one of its kind: the same entry of the same workflow is appended once. */
  readonly key: string;
  readonly actor: AuditRecord['actor'];
  readonly subject: AuditRecord['subject'];
  readonly before?: Digest | null;
  readonly after?: Digest | null;
  readonly policy?: Digest | null;
  /** When it took effect, where that was before it could be written down. */
  readonly time?: string;
  readonly reason: string;
}

const MAX_REASON = 2000;
/** So long what lowers exposure may wait for a log that seems to be there. */
const SOON_MS = 500;

/** Writes what an activity did, under an id that a retry of the same act repeats. */
export class Journal {
  readonly #audit: Audit;

  constructor(audit: Audit) {
    this.#audit = audit;
  }

  async note(...entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    const { workflowExecution } = activityInfo();
    const workflow =
      workflowExecution === undefined ? null : { id: workflowExecution.workflowId, runId: workflowExecution.runId };
    await this.#audit.append(entries.map((entry) => toRecord(entry, workflow)));
  }

  /** The same where nobody may be kept waiting; `false`: the log has not taken it so far, and it has to be noted again. */
  async noteSoon(...entries: readonly Entry[]): Promise<boolean> {
    const noted = this.note(...entries).then(
      () => true,
      () => false,
    );
    return Promise.race([noted, delay(SOON_MS, false, { ref: false })]);
  }

  /** What was refused of messages of which others lower exposure: the verdicts say what the log has not taken so far. */
  async noteRefused(
    messages: readonly Decision[],
    verdicts: readonly DecisionVerdict[],
    subject: AuditRecord['subject'],
  ): Promise<readonly DecisionVerdict[]> {
    if (await this.noteSoon(...refusals(messages, verdicts, subject))) return verdicts;
    return verdicts.map((verdict) => (verdict.accepted ? verdict : { ...verdict, unnoted: true }));
  }

  /** As `refusing`, of a message that lowers exposure: the next one does not wait because the log takes no refusal of this. */
  refusingSoon<T>(message: Refusable, act: () => Promise<T>): Promise<T> {
    return refusedBy(act, async (error) => {
      if (await this.noteSoon(refused(message, error))) return error;
      return new CustodyError(error.code, error.message, {
        details: { ...error.details, unnoted: true },
        cause: error,
      });
    });
  }

  /** Runs an act that checks somebody's message; a refusal is in the log before anyone hears of it. */
  refusing<T>(message: Refusable, act: () => Promise<T>): Promise<T> {
    return refusedBy(act, async (error) => {
      await this.note(refused(message, error));
      return error;
    });
  }
}

/** What the act refuses for good is heard of as `tell` has it, once that is done; every other error as it came. */
async function refusedBy<T>(act: () => Promise<T>, tell: (error: CustodyError) => Promise<CustodyError>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    throw await tell(error);
  }
}

interface Refusable {
  readonly name: string;
  readonly envelope: unknown;
  readonly subject: AuditRecord['subject'];
}

function refused({ name, envelope, subject }: Refusable, { code, message }: CustodyError): Entry {
  return refusal(name, [envelope], subject, `${code}: ${message}`);
}

/** One record for any number of refused messages, so that a flood cannot fill the log. */
export function refusal(
  name: string,
  envelopes: readonly unknown[],
  subject: AuditRecord['subject'],
  reason: string,
): Entry {
  const digests = envelopes.map(digestOfAnything);
  const sample = digests.slice(0, 3).join(', ');
  return {
    change: 'message.refused',
    key: sha256(`${name} ${digests.join(' ')}`),
    actor: { id: 'unverified', statement: null },
    subject,
    after: digests[0] ?? null,
    reason: `${envelopes.length} × ${name} (sha256 ${sample}): ${reason}`,
  };
}

/** What checking one message of a batch came to: a refusal is a verdict, anything else that goes wrong is not. */
export async function verdictOn(
  check: () => Promise<Omit<Extract<DecisionVerdict, { accepted: true }>, 'accepted'>>,
): Promise<DecisionVerdict> {
  try {
    return { accepted: true, ...(await check()) };
  } catch (error) {
    if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
    return { accepted: false, code: error.code, reason: error.message };
  }
}

/** What was refused of a batch of messages: one record for all that were refused for the same reason. */
export function refusals(
  messages: readonly Decision[],
  verdicts: readonly DecisionVerdict[],
  subject: AuditRecord['subject'],
): Entry[] {
  const refused = new Map<string, { readonly name: string; readonly why: string; readonly envelopes: unknown[] }>();
  messages.forEach(({ message: name, envelope }, index) => {
    const verdict = verdicts[index];
    if (verdict === undefined || verdict.accepted) return;
    const why = `${verdict.code}: ${verdict.reason}`;
    const same = refused.get(`${name} ${why}`) ?? { name, why, envelopes: [] };
    same.envelopes.push(envelope);
    refused.set(`${name} ${why}`, same);
  });
  return [...refused.values()].map(({ name, why, envelopes }) => refusal(name, envelopes, subject, why));
}

/** Of whatever came: refused messages are seldom canonical JSON. */
export function digestOfAnything(value: unknown): Digest {
  return sha256(JSON.stringify(value) ?? 'undefined');
}

export function toRecord(entry: Entry, workflow: AuditRecord['workflow']): AuditRecord {
  return {
    id: sha256(canonicalBytes([entry.change, entry.key, workflow?.id ?? ''])),
    time: entry.time ?? isoTime(Date.now()),
    actor: entry.actor,
    change: entry.change,
    subject: entry.subject,
    before: entry.before ?? null,
    after: entry.after ?? null,
    policy: entry.policy ?? null,
    workflow,
    reason: entry.reason.slice(0, MAX_REASON),
  };
}
