import { PARENT_RESULT, parentOf } from '../../../domain/parent.js';
import { baseOf } from '../../../domain/base.js';
import { modelsOf } from '../../../domain/used-models.js';
import { dependenciesOf, STAGE_BUILD } from '../../../domain/provenance.js';
import type { Digest } from '../../../domain/digest.js';
import {
  alsoBy,
  byLines,
  fails,
  holds,
  linesOf,
  noEvidence,
  notConcerned,
  type Facts,
  type Finding,
} from '../facts.js';
import { logged } from './log.js';
import { loadable, signed } from './origin.js';
import { v1, type Requirement } from './row.js';
import { boundApprovals, killed } from './traffic.js';

/** What AISVS 1.0 adds. */
export const V1: readonly Requirement[] = [
  v1('C3.1.1', 'An inventory of all deployed artifacts, and where they come from.', (facts) =>
    byLines(
      facts,
      ['release', 'producer', 'provenance'],
      `${facts.manifest?.files.length ?? 0} artifacts, each by its SHA-256, in the bill of materials`,
    ),
  ),
  v1('C3.1.2', 'Base models, fine-tunes, adapters, safety and policy models are signed, too.', wholly),
  v1('C3.1.3', 'Verified at admission and on every load, reloads included.', loadable),
  v1('C3.2.2', 'A quantised, pruned or distilled artifact passes the suites of its parent.', compressed),
  v1('C3.2.3', 'A change of a hosted model triggers a new evaluation.', () =>
    notConcerned('it consists of files in custody: no model of a provider is called'),
  ),
  v1('C3.3.3', 'Versions in parallel share no state at run time.', () =>
    noEvidence('what model servers keep in memory is not recorded'),
  ),
  v1('C3.5.1', 'Models that a fine-tuning uses are versioned and verified before.', base),
  v1('C3.5.2', 'Reward hacking is detected, and blocks promotion.', () =>
    noEvidence('how a reward was watched in training is not recorded'),
  ),
  v1('C3.5.3', 'The output of each training stage is verified before the next.', verifiedStages),
  v1('C3.5.4', 'Checkpoints are registered as artifacts of their own.', stages),
  v1('C9.2.8', 'An approval is bound to the act, its parameters, the requester and a nonce used once.', boundApprovals),
  v1('C9.6.1', 'There is a manual kill switch.', killed),
  v1('C9.6.2', 'An approval that has expired lets nothing happen.', (facts) =>
    byLines(facts, ['request', 'approval', 'quorum']),
  ),
  v1('C9.6.3', 'The way to kill lies outside the runtime that it kills.', () =>
    noEvidence('by which way an order came to the gateways is not recorded'),
  ),
  v1('C12.5.3', 'All changes of a model leave immutable records.', logged),
];

/** By what the zone that trained it has signed of each stage, back to the first. */
function stages(facts: Facts): Finding {
  const checked = 'for each stage the signature of its producer, and that the next one names its digest';
  const release = linesOf(facts, 'provenance')[0]?.statement ?? null;
  const by = release === null ? [] : (facts.documents.stated('provenance', release)?.signers ?? []);
  const [names, digests]: [string[], Digest[]] = [[], []];
  for (let made = facts.provenance; made !== null;) {
    const [before] = dependenciesOf(made, 'checkpoint');
    if (before === undefined) break;
    const { name, sha256, statement } = before;
    const said = statement === undefined ? null : facts.documents.stated('provenance', statement);
    const isOf = said !== null && said.predicate.buildDefinition.buildType === STAGE_BUILD && said.subject === sha256;
    if (!isOf || digests.includes(said.digest) || !said.signers.some((signer) => by.includes(signer)))
      return fails(`what its producer has signed of the stage ${name} is not there, or about something else`, {
        checked,
      });
    names.unshift(name);
    digests.push(said.digest);
    made = said.predicate;
  }
  if (names.length === 0) return noEvidence('its producer says nothing of stages');
  const documents = facts.documents.among(...digests);
  return holds(`a signed checkpoint of each stage: ${names.join(', ')}`, { checked, documents });
}

/** That it was verified is its producer's word. */
function verifiedStages(facts: Facts): Finding {
  const found = stages(facts);
  if (found.state !== 'holds') return found;
  return noEvidence(`${found.says}; that each was verified before the next, its producer says, and nobody else`);
}

function wholly(facts: Facts): Finding {
  const found = signed(facts);
  const from = facts.provenance === null ? null : baseOf(facts.provenance);
  if (found.state !== 'holds' || from === null) return found;
  return { ...found, says: `${found.says}; what it has of ${from.model} ${from.version} is among these files` };
}

function compressed(facts: Facts): Finding {
  const parent = facts.provenance === null ? null : parentOf(facts.provenance);
  if (parent === null) return notConcerned('its producer declares it no smaller form of another release');
  const { testResult } = facts.progress.validated ?? {};
  const result = testResult === undefined ? null : facts.documents.stated('testResult', testResult);
  const linked = result?.predicate.configuration.find(({ name }) => name === PARENT_RESULT);
  const found = byLines(facts, ['validation', 'provenance']);
  if (found.state !== 'holds') return found;
  if (linked === undefined)
    return fails(`its test result is not linked to that of ${parent.model} ${parent.version}`, {
      checked: found.checked,
    });
  const says = `${parent.how} from ${parent.model} ${parent.version}; ${found.says}`;
  return alsoBy({ ...found, says }, facts.documents.among(linked.digest.sha256));
}

function base({ provenance }: Facts): Finding {
  const from = provenance === null ? null : baseOf(provenance);
  const models = provenance === null ? [] : modelsOf(provenance);
  const named = [...(from === null ? [] : [from]), ...models].map(({ model, version }) => `${model} ${version}`);
  return named.length === 0
    ? notConcerned('its producer names no release that it was made from')
    : noEvidence(`it was made with ${named.join(', ')}, whose own dossier shows what that is`);
}
