import { escaped } from '../../../formats/markup.js';
import type { Evidence, RequirementFinding } from '../model.js';
import { shareChart } from './chart.js';
import { judgedChart, type JudgedStep } from './judged-chart.js';
import { documentLinks, hrefOf, more, recordLinks, shownTime, tag, worded, type Mark } from './words.js';

const STATES: Readonly<Record<RequirementFinding['state'], Mark>> = {
  holds: 'good',
  fails: 'bad',
  'not concerned': '',
  'no evidence': 'odd',
};
const VERDICTS = { pass: 'good', fail: 'bad', inconclusive: 'odd' } as const;
const LINES: Readonly<Record<Evidence['lines'][number]['state'], Mark>> = {
  holds: 'good',
  fails: 'bad',
  absent: '',
  fact: '',
};

export function requirements(evidence: Evidence): string {
  const profile = (prefix: string): string =>
    `<ul class="rows requirements">${evidence.requirements
      .filter(({ id }) => id.startsWith(prefix))
      .map((each) => requirement(evidence, each))
      .join('\n')}</ul>`;
  return `<section id="requirements"><h2>Requirements</h2>
<p class="lead">Each requirement of OWASP AISVS on a model’s life cycle, in our words, with what the dossier shows of it and the check that was made. “No evidence” is no pass: the dossier holds nothing that would show it.</p>
<h3 class="profile">Draft of June 2025, chapter C3</h3>
${profile('draft-')}
<h3 class="profile">What version 1.0 adds</h3>
${profile('v1.0-')}
</section>`;
}

function requirement(
  evidence: Evidence,
  { id, level, text, state, says, checked, documents, records }: RequirementFinding,
): string {
  const short = level === null ? '' : ` <span class="when">level ${level}</span>`;
  const rests = [documentLinks(evidence, documents), recordLinks(evidence, records)].filter((each) => each !== '');
  return `<li id="${escaped(id)}"><p class="key">${escaped(id)}${short}</p><p>${tag(STATES[state], state)}</p><div><p>${escaped(text)}</p>${more(escaped(says))}${checked === '' ? '' : more(`<em>Checked</em> ${escaped(checked)}`)}${rests.length === 0 ? '' : more(rests.join(', '))}</div></li>`;
}

export function checks(evidence: Evidence): string {
  const { lines } = evidence;
  const rows = lines.map(({ part, state, says, checked, by, statement, policy }) => {
    const facts = [
      checked === '' ? '' : `<em>Checked</em> ${escaped(checked)}`,
      by.length === 0 ? '' : `by ${escaped(by.join(', '))}`,
      policy === null ? '' : `policy ${policy}`,
      statement === null ? '' : documentLinks(evidence, [statement]),
    ];
    return `<li><p class="key">${escaped(part)}</p><p>${tag(LINES[state], state)}</p><div><p>${escaped(says)}</p>${more(...facts)}</div></li>`;
  });
  return `<section id="record"><h2>The record of the release</h2>
<p class="lead">Everything that stands behind it, line by line, each checked from the pinned root on.</p>
<ul class="rows checks">${rows.join('\n')}</ul>${cases(evidence)}</section>`;
}

function cases({ cases: all }: Evidence): string {
  if (all.length === 0) return '';
  const failed = all.filter(({ failure }) => failure !== null);
  const row = ({ id, failure }: (typeof all)[number]): string =>
    `<tr><td><code>${escaped(id)}</code></td><td>${failure === null ? tag('good', 'passed') : tag('bad', 'not passed')}</td><td>${escaped(failure ?? '')}</td></tr>`;
  return `<h3>Criteria of the validation</h3><p class="more">${all.length} criteria, ${failed.length} not passed</p>
<table><thead><tr><th>criterion</th><th>verdict</th><th>found</th></tr></thead><tbody>${all.map(row).join('\n')}</tbody></table>`;
}

export function timeline(evidence: Evidence): string {
  const rows = evidence.timeline.map(({ index, proof, time, change, actor, about, reason, documents }) => {
    const where = about === 'release' ? '' : ` <span class="when">${escaped(about)}</span>`;
    const rests = [`<a href="${escaped(hrefOf(proof))}">record ${index}</a>`, documentLinks(evidence, documents)];
    return `<li><p class="when">${shownTime(time)}</p><div><p><span class="key">${escaped(change)}</span> by ${escaped(actor)}${where}</p>${more(escaped(reason))}${more(rests.filter((each) => each !== '').join(', '))}</div></li>`;
  });
  return `<section id="timeline"><h2>Timeline</h2>
<p class="lead">The records of its life in the audit log, each with its proof against the root that the log’s key has signed. Times in UTC.</p>
<ul class="rows events">${rows.join('\n')}</ul></section>`;
}

export function rollout(evidence: Evidence): string {
  const { steps, limits } = evidence;
  if (steps.length === 0)
    return `<section id="rollout"><h2>Rollout</h2><p class="lead">Nobody was ever routed to it.</p></section>`;
  const row = ({
    revision,
    change,
    at,
    until,
    weight,
    others,
    bakeSeconds,
    document,
    logged,
  }: (typeof steps)[number]): string => {
    const rest = others.filter((other) => other.weight > 0).map((other) => `${other.version} ${other.weight} %`);
    const watched = until === null ? 'still in force' : `${((Date.parse(until) - Date.parse(at)) / 1000).toFixed(1)} s`;
    const planned = bakeSeconds === null ? '' : `, at least ${bakeSeconds} s`;
    const links = `${documentLinks(evidence, [document])}${logged === null ? '' : `, ${recordLinks(evidence, [logged])}`}`;
    return `<tr><td class="number">${revision}</td><td class="short">${escaped(change)}</td><td class="number">${weight} %</td><td class="hide-small">${escaped(rest.join(', '))}</td><td class="hide-small">${shownTime(at)}</td><td>${escaped(watched + planned)}</td><td class="hide-small">${links}</td></tr>`;
  };
  const rules =
    limits === null
      ? ''
      : `Its limits: at most ${escaped(String(limits.maxErrorRate * 100))} % of the answers may fail, the 95th percentile of the first byte at most ${limits.maxLatencyMs} ms, judged from ${limits.minimumSamples} answers on.`;
  return `<section id="rollout"><h2>Rollout</h2>
<p class="lead">What share of the callers it had, by the routing documents that control has signed and each gateway has checked. ${rules}</p>
<figure>${shareChart(evidence)}<figcaption>Each bar is one routing document (r is its revision), as long as it was in force; very short ones are drawn wider.</figcaption></figure>
${judged(evidence)}
<table><thead><tr><th class="number">revision</th><th>change</th><th class="number">share</th><th class="hide-small">others</th><th class="hide-small">since</th><th>in force</th><th class="hide-small">evidence</th></tr></thead><tbody>${steps.map(row).join('\n')}</tbody></table></section>`;
}

function judged(evidence: Evidence): string {
  const steps = evidence.steps.filter((step): step is JudgedStep => step.judged !== null);
  if (steps.length === 0) return '';
  const row = ({ revision, judged }: JudgedStep): string =>
    `<tr><td class="number">${revision}</td><td>${tag(VERDICTS[judged.verdict], judged.verdict)}</td><td>${escaped(judged.reason ?? '')}</td><td class="hide-small">${documentLinks(evidence, [judged.statement])}</td></tr>`;
  return `<h3>What the watch of each step counted</h3>
<figure>${judgedChart(evidence, steps)}<figcaption>Of the answers that callers got at each step, by all gateways together, as the watch told control and control has signed it. The limit of slow answers is that of the 95th percentile.</figcaption></figure>
<table><thead><tr><th class="number">revision</th><th>verdict</th><th>why</th><th class="hide-small">evidence</th></tr></thead><tbody>${steps.map(row).join('\n')}</tbody></table>`;
}

export function decisions(evidence: Evidence): string {
  const rows = evidence.decisions.map(({ at, who, roles, act, subject, says, document }) => {
    const role = roles.length === 0 ? 'in no role that may' : roles.join(', ');
    return `<li><p class="when">${shownTime(at)}</p><div><p class="key">${escaped(who)}</p><p class="when">${escaped(role)}</p></div><div><p>${escaped(act)} <code>${escaped(subject)}</code></p>${more(escaped(says))}${more(documentLinks(evidence, [document]))}</div></li>`;
  });
  const quorums = evidence.quorums.map(
    ({ act, role, needed, people, holds }) =>
      `<tr><td>${escaped(act)}</td><td>${needed} × ${escaped(role)}</td><td>${escaped(people.join(', '))}</td><td>${holds ? tag('good', 'reached') : tag('odd', 'not reached')}</td></tr>`,
  );
  const table =
    quorums.length === 0
      ? ''
      : `<h3>Quorums</h3><table><thead><tr><th>about</th><th>needs</th><th>agreed</th><th></th></tr></thead><tbody>${quorums.join('\n')}</tbody></table>`;
  return `<section id="decisions"><h2>Who decided what</h2>
<p class="lead">Every request, approval and order about it: each a signed statement, by whose key the name is known.</p>
<ul class="rows decisions">${rows.join('\n')}</ul>${table}</section>`;
}

export function documents(evidence: Evidence): string {
  const rows = evidence.documents.map(({ digest, path, kind, signers, policy, failure }) => {
    const by =
      signers.length === 0
        ? ''
        : `signed by ${escaped(signers.join(', '))}${policy === null ? '' : `, policy ${policy}`}`;
    const wrong = failure === null ? '' : `${tag('bad', 'counts for nothing')} ${escaped(failure)}`;
    return `<li><p>${escaped(worded(kind))}</p><div><p><a href="${escaped(hrefOf(path))}"><code>${escaped(digest)}</code></a></p>${more(by, wrong)}</div></li>`;
  });
  return `<section id="documents"><h2>Documents</h2>
<p class="lead">Everything of the store that the dossier holds, by its SHA-256, under the same key as there.</p>
<ul class="rows documents">${rows.join('\n')}</ul></section>`;
}
