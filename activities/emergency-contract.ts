import type { Digest } from '../domain/digest.js';
import type { Condemned } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { Decision, DecisionVerdict } from './contract.js';

/** What a lifecycle needs of control when its release must stop at once. The rules of `contract.ts` hold here, too. */
export interface EmergencyControl {
  /**
   * Verifies vulnerability notices. The first that counts stops the endpoint, if the release has callers, and condemns it: that
   * waits for no log, which is for `noteCondemned`. `null`: none of them counts, and none has before.
   */
  condemnRelease(
    name: ReleaseName,
    release: Digest,
    notices: readonly Decision[],
  ): Promise<{ readonly verdicts: readonly DecisionVerdict[]; readonly condemned: Condemned | null }>;
  noteCondemned(name: ReleaseName, release: Digest): Promise<void>;
  /** Has everybody hear that it is revoked, and tells those who depend on it; answers how many no way has reached so far. */
  informCondemned(name: ReleaseName, release: Digest): Promise<number>;
}

export interface EmergencySigning {
  /** Revokes a release that a security authority has condemned. */
  revokeCondemned(name: ReleaseName, release: Digest): Promise<Digest>;
}
