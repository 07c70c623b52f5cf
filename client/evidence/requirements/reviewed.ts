import { ruleOf, speakersOf, type ReviewPredicate } from '../../../domain/code-review.js';
import type { Digest } from '../../../domain/digest.js';
import { holdsRole, type Policy } from '../../../domain/policy.js';
import { sayPrompts } from '../../../domain/prompts.js';
import { dependenciesOf } from '../../../domain/provenance.js';
import type { Verified } from '../../../domain/statements.js';
import { fails, holds, linesOf, noEvidence, notConcerned, type Facts, type Finding } from '../facts.js';

/** A commit of a repository, the digest of the list of its files, and who is said to have approved of it, by which statements. */
interface Commit {
  readonly repository: string;
  readonly commit: string;
  readonly list: Digest | null;
  readonly reviewers: readonly string[];
  readonly reviews: readonly Digest[];
}

/** Who approved of the commit that it was trained with, by statements about it and its files. */
export function code(facts: Facts): Finding {
  const [found, ...more] = (facts.provenance === null ? [] : dependenciesOf(facts.provenance, 'training-code')).filter(
    ({ commit }) => commit !== undefined,
  );
  if (found?.commit === undefined || more.length > 0)
    return noEvidence('the review of what it was trained with is not recorded');
  const { name: repository, commit, sha256: list, reviews = [], reviewers = [] } = found;
  return approved(facts, { repository, commit, list, reviewers, reviews }, 'provenance');
}

/** The same, of the commit that intake has found its prompts in. */
export function prompts(facts: Facts): Finding {
  const { manifest, progress, documents } = facts;
  if (manifest?.components.some(({ kind }) => kind === 'prompt') !== true)
    return notConcerned('there is no prompt in it');
  const scan = documents.stated('scan', progress.ingested?.scan ?? '')?.predicate.prompts;
  const line = linesOf(facts, 'scan')[0];
  if (line?.state === 'fails') return fails(line.says, { checked: line.checked });
  if (scan === undefined || line?.state !== 'holds')
    return noEvidence('where its prompts were reviewed is not recorded');
  if (scan.from === null) return fails(`it has ${sayPrompts(scan)}`, { checked: 'what its scan says of its prompts' });
  const finding = approved(facts, scan.from, 'scan');
  return finding.state === 'holds' ? { ...finding, says: `${finding.says}; ${sayPrompts(scan)}` } : finding;
}

function approved(facts: Facts, about: Commit, part: 'provenance' | 'scan'): Finding {
  const { repository, commit, list, reviewers, reviews } = about;
  const checked =
    'for each review its signature by a designated reviewer, and that it is about this commit and the digest of its files';
  const documents = facts.documents.among(...linesOf(facts, part).map(({ statement }) => statement), ...reviews);
  const basis = { checked, documents };
  const { chain } = facts.policies;
  const approvers = new Set<string>();
  const seen = new Set<string>();
  for (const review of reviews) {
    const said = facts.documents.stated('review', review);
    if (said?.predicate.commit !== commit || said.predicate.repository !== repository || said.subject !== list)
      return fails(`a review of ${commit.slice(0, 12)} is not there, or about something else`, basis);
    if (said.predicate.decision !== 'approve') return fails(`${said.signers.join(' and ')} rejected it`, basis);
    for (const policy of chain) for (const by of wordOf(said, repository, policy)) approvers.add(by);
    if (said.predicate.seen !== undefined) seen.add(said.predicate.reason);
  }
  const missing = reviewers.find((id) => !approvers.has(id));
  if (reviewers.length === 0 || missing !== undefined)
    return fails(`${missing ?? 'nobody'} has reviewed ${commit.slice(0, 12)} with the role for it`, basis);
  const where = seen.size === 0 ? '' : `, as a zone has seen it in ${[...seen].join(', ')}`;
  return holds(
    `commit ${commit.slice(0, 12)} of ${repository}, approved by ${[...approvers].join(', ')}${where}`,
    basis,
  );
}

/** Which reviewers of a policy have said it. */
function wordOf(said: Verified<ReviewPredicate>, repository: string, policy: Policy): readonly string[] {
  const rule = ruleOf(policy, repository);
  if (rule === null) return [];
  return speakersOf(said, rule, policy).filter((id) => holdsRole(policy, policy, id, 'reviewer'));
}
