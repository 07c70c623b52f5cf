import { randomBytes } from 'node:crypto';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { mayRead, type Policy } from '../../domain/policy.js';
import { groundsOf } from '../../domain/state.js';
import type { AuditQuestionPredicate, Verified } from '../../domain/statements.js';
import { isoTime, outsideValidity } from '../../domain/time.js';
import { encodeBase64 } from '../../formats/base64.js';
import { sha256 } from '../../formats/sha256.js';
import { encodeProof } from '../../formats/tlog-proof.js';
import type { Found, Records } from '../records.js';
import type { AuditLog } from './log.js';
import { noteAtDesk } from './note.js';
import type { PublishedLog } from './published.js';
import { readLog } from './reader.js';
import { States, type StatesDeps } from './states.js';

/** How long an auditor may read the log's tiles after the question that was answered with the address, whatever the clock does. */
const READING_MS = 10 * 60_000;

export interface QuestionsDeps extends StatesDeps {
  readonly records: Records;
  readonly audit: AuditLog;
}

/** Records with what shows that they are in the log, and that it goes on from the one that the asker knows. */
export interface Proved {
  readonly checkpoint: string;
  /** C2SP tlog-proofs, all by this checkpoint. Of a state: the records that it follows from. */
  readonly proofs: readonly string[];
  /** Hashes in base64, from as many entries as the asker has seen; empty where the log has fewer. */
  readonly since: readonly string[];
}

export type Answer =
  | {
      readonly question: 'log';
      readonly path: string;
      readonly vkey: string;
      readonly size: number;
      readonly root: Digest;
    }
  | ({ readonly question: 'state' | 'recover' } & Proved);

type Asked = Verified<AuditQuestionPredicate>;

/** What auditors, and whoever the policy names beside them, are told. The attempt is in the log before its answer. */
export class Questions {
  readonly #deps: QuestionsDeps;
  readonly #states: States;
  readonly #leaves = new Map<string, number>();

  constructor(deps: QuestionsDeps) {
    this.#deps = deps;
    this.#states = new States(deps);
  }

  /** Whether this is somebody's leave to read the log, and has not ended. */
  mayRead(token: string): boolean {
    return (this.#leaves.get(token) ?? 0) >= performance.now();
  }

  async answer(input: unknown): Promise<Answer> {
    const { records } = this.#deps;
    const { newest, newestDigest } = await records.policies();
    const asked = await this.#admitted(input, newest, newestDigest);
    const { question, model, at, version, seen } = asked.verified.predicate;
    await records.keep(asked.envelope);
    const index = await noteAtDesk(this.#deps.audit, 'log.read', asked.verified.digest, {
      actor: { id: asked.verified.signers[0] ?? '', statement: asked.verified.digest },
      subject: { model: model ?? '', version, release: question === 'recover' ? asked.verified.subject : null },
      after: asked.verified.digest,
      policy: newestDigest,
      reason: `read: ${question}${model === null ? '' : ` of ${model} ${version ?? `at ${at ?? ''}`}`}`,
    });
    if (question === 'log') return this.#log();
    const { index: states, log } = await this.#states.current();
    const grounds = question === 'recover' ? [index] : groundsOf(states.at(model ?? '', at ?? ''));
    return { question, ...(await proved(log, grounds, seen)) };
  }

  /** A question that may be answered. What is refused is in the log as well. */
  async #admitted(input: unknown, newest: Policy, newestDigest: Digest): Promise<Found<AuditQuestionPredicate>> {
    const { records, audit } = this.#deps;
    let found: Found<AuditQuestionPredicate> | undefined;
    try {
      found = await records.receive('auditQuestion', input);
      await this.#assertAnswerable(found.verified, newest);
      return found;
    } catch (error) {
      if (!(error instanceof CustodyError)) throw error;
      const digest = sha256(JSON.stringify(input) ?? '');
      await noteAtDesk(audit, 'log.read', `refused ${digest} ${Date.now()}`, {
        actor: { id: found?.verified.signers[0] ?? 'unverified', statement: found?.verified.digest ?? null },
        subject: { model: '', version: null, release: null },
        after: digest,
        policy: newestDigest,
        reason: `refused: ${error.code}: ${error.message}`,
      });
      throw error;
    }
  }

  async #assertAnswerable({ signers, predicate, digest }: Asked, newest: Policy): Promise<void> {
    const { records } = this.#deps;
    const { question, environment, model, at, version, nonce } = predicate;
    const isWhole = question !== 'state';
    if (!signers.some((id) => mayRead(newest, id, isWhole ? null : model)))
      throw new CustodyError(
        'NOT_AUTHORISED',
        `${signers.join(', ')} does not hold the role auditor${isWhole ? '' : `, nor one that may read of ${model ?? ''}`}`,
      );
    if (environment !== records.environment)
      throw new CustodyError('REPLAYED', `the question is for environment ${environment}`);
    const outside = outsideValidity(predicate, isoTime(Date.now()));
    if (outside !== null) throw new CustodyError('EXPIRED', `the question is ${outside}`);
    const names = { log: true, state: model !== null && at !== null, recover: model !== null && version !== null };
    if (!names[question]) throw new CustodyError('USAGE', 'name a model, and a time or a version');
    // Each question is answered once: whoever has got hold of one that was asked does not read with it.
    await records.spend(nonce, { statement: digest, request: sha256(randomBytes(32)) });
  }

  /** The whole log is checked from its batches on before anybody is shown a part of it. */
  async #log(): Promise<Answer> {
    const { buckets, vkey } = this.#deps;
    const { size, root } = await readLog({ ...buckets, vkey }).verifyLog();
    const token = randomBytes(24).toString('base64url');
    this.#leaves.set(token, performance.now() + READING_MS);
    return { question: 'log', path: `/log/${token}/`, vkey, size, root };
  }
}

async function proved(log: PublishedLog, indexes: readonly number[], seen: number): Promise<Proved> {
  const proofs = await Promise.all(indexes.map(async (index) => encodeProof(await log.prove(index))));
  const since = seen > log.checkpoint.size ? [] : await log.since(seen);
  return { checkpoint: log.note.toString('utf8'), proofs, since: since.map(encodeBase64) };
}
