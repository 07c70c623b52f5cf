import { join } from 'node:path';
import { z } from 'zod';
import { notRevoked } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Policy } from '../domain/policy.js';
import type { StatusPredicate } from '../domain/statements.js';
import { MAX_SKEW_MS } from '../domain/time.js';
import type { CheckedRelease } from '../formats/evidence.js';
import { digestSchema } from '../formats/in-toto.js';
import { policyDigest } from '../formats/policy.js';
import { readJson, writeJson } from './files.js';
import { NamedLocks } from './locks.js';

const schema = z.strictObject({
  policy: z.strictObject({ version: z.int().min(0), digest: digestSchema.nullable() }),
  /** Version of the newest status document. */
  status: z.int().min(0),
  revoked: z.array(digestSchema),
});
type Memory = z.infer<typeof schema>;

const NOTHING: Memory = { policy: { version: 0, digest: null }, status: 0, revoked: [] };

/**
 * The newest policy and status document that this vault has ever seen, and every release it has seen revoked: on disk
 * before it is relied on, so that nobody can lead the vault back in time.
 */
export class Seen {
  readonly #path: string;
  readonly #locks = new NamedLocks();
  #memory: Memory;
  #revoked: ReadonlySet<Digest>;

  private constructor(path: string, memory: Memory) {
    this.#path = path;
    this.#memory = memory;
    this.#revoked = new Set(memory.revoked);
  }

  static async open(state: string): Promise<Seen> {
    const path = join(state, 'seen.json');
    return new Seen(path, (await readJson(path, schema)) ?? NOTHING);
  }

  isRevoked(release: Digest): boolean {
    return this.#revoked.has(release);
  }

  /** STATUS_STALE, which a caller answers with newer evidence, when a newer policy has been seen; else remembers this one. */
  acceptPolicy(policy: Policy): Promise<void> {
    const digest = policyDigest(policy);
    return this.#change(({ policy: seen, ...rest }) => {
      if (policy.version < seen.version)
        throw stale(`policy ${policy.version} is not the newest: policy ${seen.version} has been seen`);
      if (policy.version === seen.version && digest !== seen.digest)
        throw new CustodyError('POLICY_REFUSED', `another policy ${policy.version} has been seen before`);
      return { ...rest, policy: { version: policy.version, digest } };
    });
  }

  /** The same for the status document, once it is known to be control's, of this environment and fresh. */
  async acceptStatus({ release, rules, status }: CheckedRelease): Promise<void> {
    const standing = notRevoked(release.release, rules, status);
    const isGenuine = standing.allowed || standing.code === 'REVOKED';
    if (status === null || !isGenuine) return;
    const { version, revoked }: StatusPredicate = status.predicate;
    if (version > Date.parse(rules.now) + MAX_SKEW_MS)
      throw stale(`the status document's version ${version} is a time to come`);
    await this.#change((memory) => {
      if (version < memory.status)
        throw stale(`status document ${version} is not the newest: ${memory.status} has been seen`);
      const more = revoked.filter((each) => !this.#revoked.has(each));
      return { ...memory, status: version, revoked: more.length === 0 ? memory.revoked : [...memory.revoked, ...more] };
    });
  }

  #change(next: (memory: Memory) => Memory): Promise<void> {
    return this.#locks.hold(['memory'], async () => {
      const before = this.#memory;
      const after = next(before);
      const isNew =
        after.policy.version > before.policy.version ||
        after.status > before.status ||
        after.revoked !== before.revoked;
      if (!isNew) return;
      await writeJson(this.#path, after);
      this.#memory = after;
      this.#revoked = new Set(after.revoked);
    });
  }
}

function stale(problem: string): CustodyError {
  return new CustodyError('STATUS_STALE', `${problem}: gather the evidence again`);
}
