import type { Records } from '../adapters/records.js';
import { reviewsOnGitHub, type GitHubAccess } from '../adapters/review/github.js';
import type { FurtherReviews } from '../adapters/reviewed-code.js';
import { CustodyError } from '../domain/errors.js';
import { isoTime } from '../domain/time.js';
import type { SigningKey } from '../formats/keys.js';
import { signStatement } from '../formats/statements.js';

interface Witness {
  readonly records: Records;
  /** Signs what was seen. */
  readonly key: SigningKey;
  readonly github: GitHubAccess | undefined;
}

/** What GitHub tells of a commit, in statements by whoever asks, who says that it was told so. */
export function reviewsSeen({ records, key, github }: Witness): FurtherReviews {
  return async ({ name, github: place, branch }, { commit, files }) => {
    if (place === undefined) return [];
    if (github === undefined)
      throw new CustodyError(
        'POLICY_REFUSED',
        `the policy has reviews on GitHub count for ${name}, and this zone cannot ask there`,
      );
    const said = await reviewsOnGitHub(github, place, { branch, commit });
    const about = { environment: records.environment, repository: name, commit, issuedAt: isoTime(Date.now()) };
    return Promise.all(
      said.map(({ decision, seen }) => {
        const reason = `pull request ${seen.pull} of ${place}`;
        const subject = { name: `${name} ${commit}`, sha256: files };
        return records.verify('review', signStatement('review', subject, { ...about, decision, reason, seen }, [key]));
      }),
    );
  };
}
