import { escaped } from '../../../formats/markup.js';
import type { Evidence, RequirementFinding } from '../model.js';
import { checks, decisions, documents, requirements, rollout, timeline } from './sections.js';
import { sheet } from './sheet.js';
import { shownTime } from './words.js';

const PARTS = [
  ['timeline', 'Timeline'],
  ['rollout', 'Rollout'],
  ['decisions', 'Decisions'],
  ['requirements', 'Requirements'],
  ['record', 'Record'],
  ['documents', 'Documents'],
] as const;

/** The dossier as one page that loads nothing and runs nothing: decided by the evidence alone, to the byte. */
export function renderPage(evidence: Evidence): string {
  const { model, version } = evidence;
  return sheet({
    title: `${model} ${version}: evidence`,
    head: head(evidence),
    sections: [
      timeline(evidence),
      rollout(evidence),
      decisions(evidence),
      requirements(evidence),
      checks(evidence),
      documents(evidence),
    ],
    footer: `This page is made of <a href="evidence.json">evidence.json</a> and says nothing else. The bill of materials is <a href="bom.cdx.json">bom.cdx.json</a> (CycloneDX 1.7). That no record was left out can be told from the whole log alone; who checks this dossier brings the pinned root and the log’s key from somewhere he trusts.`,
  });
}

function head(evidence: Evidence): string {
  const { environment, model, version, release, madeAt, madeBy, standing, log, lines } = evidence;
  const failing = lines.filter(({ state }) => state === 'fails');
  const refused = evidence.requirements.filter(({ state }) => state === 'fails');
  const isSound = failing.length === 0 && refused.length === 0;
  const verdict = isSound
    ? 'Everything that was checked holds'
    : `${failing.length + refused.length} of the checks ${failing.length + refused.length === 1 ? 'does' : 'do'} not hold`;
  const what = [...failing.map(({ part }) => part), ...refused.map(({ id }) => id)].join(', ');
  const said = isSound
    ? `${lines.filter(({ state }) => state === 'holds').length} lines of its record, ${evidence.timeline.length} records of the log`
    : what;
  const count = (state: RequirementFinding['state']): number =>
    evidence.requirements.filter((each) => each.state === state).length;
  const figure = (state: RequirementFinding['state'], label: string): string =>
    `<div><b>${count(state)}</b><span>${escaped(label)}</span></div>`;
  const facts: readonly (readonly [string, string])[] = [
    ['Stands', escaped(standing)],
    ['Environment', escaped(environment)],
    ['Release digest', release === null ? 'none' : `<code>${escaped(release)}</code>`],
    ['Judged at', `${shownTime(madeAt)} UTC, by ${escaped(madeBy)}, an auditor`],
    ['Audit log', `${escaped(log.origin)}, ${log.size} records, root <code>${escaped(log.root)}</code>`],
  ];
  return `<header>
<p class="eyebrow">Evidence of a release</p>
<h1>${escaped(model)} <span class="version">${escaped(version)}</span></h1>
<p class="verdict${isSound ? '' : ' bad'}"><strong>${escaped(verdict)}</strong><span>${escaped(said)}</span></p>
<div class="figures">${figure('holds', 'requirements hold')}${figure('fails', 'fail')}${figure('not concerned', 'do not concern it')}${figure('no evidence', 'without evidence')}</div>
<dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join('')}</dl>
<nav aria-label="Sections">${PARTS.map(([id, label]) => `<a href="#${id}">${label}</a>`).join(' ')}</nav>
</header>`;
}
