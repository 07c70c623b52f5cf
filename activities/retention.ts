import { keepLocked, walk } from '../adapters/lock-keeper.js';
import type { Bucket } from '../adapters/object-store/port.js';
import type { Records } from '../adapters/records.js';
import { newestExtension, startOfRecords } from '../adapters/retention-runs.js';
import {
  addTrouble,
  inUse,
  KEPT_PREFIXES,
  needOfRecord,
  overdue,
  shortRetention,
  type RetentionPredicate,
} from '../domain/retention.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { canonicalBytes } from '../formats/jcs.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import type { Desk } from './control.js';
import { Journal, toRecord, type Audit } from './journal.js';
import type { RetentionControl } from './keeping-contract.js';
import { resumable } from './resumable.js';

const DAY_MS = 86_400_000;

export type RetentionDeps = Pick<Desk, 'records' | 'audit' | 'key' | 'id'> & {
  /** The bucket of the audit log. */
  readonly log: Bucket;
};

/** Control's part of the daily extension of locks: records and log, and what a run has found. */
export function createRetention({ records, audit, key, id, log }: RetentionDeps): RetentionControl {
  const journal = new Journal(audit);
  return {
    extendRecords: async () => {
      const { newest } = await records.policies();
      const { bucket } = records;
      const now = Date.now();
      // Older ones need not stay, and there are very many.
      const oldest = storeKeys.status(Math.max(0, now - newest.retention.statusDays * DAY_MS));
      const stretches = KEPT_PREFIXES.map((prefix) => ({
        prefix,
        ...(prefix === 'status/' ? { startAfter: oldest } : {}),
      }));
      return resumable((from, signal, reached) =>
        walk(
          stretches,
          { bucket, from, signal },
          (keys) =>
            keepLocked(bucket, keys, {
              need: (each, { lastModified }) => needOfRecord(each, lastModified, newest, now),
            }),
          reached,
        ),
      ).then((found) => shortRetention(newest).reduce(addTrouble, found));
    },

    extendLog: async () => {
      const { newest } = await records.policies();
      const need = inUse(Date.now(), newest.retention.auditDays);
      return resumable((from, signal, reached) =>
        walk(
          [{ prefix: 'batches/' }, { prefix: 'checkpoints/' }, { prefix: 'keys/' }],
          { bucket: log, from, signal },
          // A batch that was damaged before it counted has its replacement on top.
          (keys) => keepLocked(log, keys, { need: () => need, replaced: (key) => key.startsWith('batches/') }),
          reached,
        ),
      );
    },

    recordRetention: async (found, startedAt) => {
      const { newestDigest } = await records.policies();
      const at = storeKeys.retention(Date.parse(startedAt));
      const kept = await records.find('retention', at);
      const said: RetentionPredicate = kept?.verified.predicate ?? {
        environment: records.environment,
        startedAt,
        endedAt: isoTime(Date.now()),
        ...found,
      };
      const subject = { name: 'retention', sha256: sha256(canonicalBytes(said)) };
      const statement =
        kept?.verified.digest ?? (await records.keep(signStatement('retention', subject, said, [key]), at));
      await journal.note({
        change: said.troubled > 0 ? 'locks.alarm' : 'locks.extended',
        key: statement,
        actor: { id, statement },
        subject: { model: '', version: null, release: null },
        after: statement,
        policy: newestDigest,
        reason: told(said),
      });
      return said;
    },
  };
}

function told({ checked, extended, earliest, troubled, troubles }: RetentionPredicate): string {
  const done = `${extended} of ${checked} locks extended, the first ends at ${earliest ?? 'no time'}`;
  return troubled === 0 ? done : `${troubled} troubles: ${troubles.join('; ')} (${done})`;
}

/**
 * A run that does not come is nobody's failure but its absence: so it is looked for from outside the workflow, and in the log
 * once a day.
 */
export async function noteOverdueRetention(records: Records, audit: Audit, id: string): Promise<void> {
  const now = Date.now();
  const since = (await newestExtension(records, now))?.startedAt ?? (await startOfRecords(records));
  const late = since === null ? null : overdue(since, now);
  if (late === null) return;
  const entry = {
    change: 'locks.alarm',
    key: `overdue ${Math.floor(now / DAY_MS)}`,
    actor: { id, statement: null },
    subject: { model: '', version: null, release: null },
    reason: late,
  } as const;
  await audit.append([toRecord(entry, null)]);
}
