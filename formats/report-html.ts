import type { ReportedResult, ReportedSuite, ValidationReport } from '../domain/report.js';
import { escaped } from './markup.js';

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --good: #1a7f37; --bad: #c62828; --odd: #9a6700; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; }
th, td { border-bottom: 1px solid var(--line); } td { overflow-wrap: anywhere; } code { font-size: .9em; }
.passed { color: var(--good); } .failed { color: var(--bad); } .inconclusive, .tolerated { color: var(--odd); }
.verdict { font-weight: 600; white-space: nowrap; } dt { font-weight: 600; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
`;

/** A validation as one HTML page that loads nothing and runs nothing: cases, thresholds and verdicts. */
export function htmlReport(report: ValidationReport): string {
  const { model, version, verdict, results, suites } = report;
  const title = `${model} ${version}: ${verdict.toLowerCase()}`;
  const failed = results.filter((result) => result.verdict !== 'passed' && !result.tolerated);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(`${model} ${version}`)} <span class="${verdict === 'PASSED' ? 'passed' : 'failed'}">${verdict}</span></h1>
${facts(report)}
${failed.length === 0 ? '' : `<h2>What keeps it from release</h2>\n${table(failed)}`}
${suites.map((suite) => section(suite, results)).join('\n')}
</body>
</html>
`;
}

function facts(report: ValidationReport): string {
  const { release, policy, isolation, limits, parent, remedy } = report;
  const lines: [string, string][] = [
    ['Release digest', release],
    ['Policy that fixed suites and thresholds', policy],
    [
      'Isolation',
      `${isolation}; ${Object.entries(limits)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    ],
  ];
  if (parent !== null)
    lines.push([
      `Smaller form (${parent.how}) of ${parent.model} ${parent.version}`,
      `release ${parent.release}, test result ${parent.testResult}`,
    ]);
  if (remedy !== null) lines.push(['What an override would need', remedy]);
  return `<dl>${lines.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>`;
}

function section({ rule, labelled }: ReportedSuite, results: readonly ReportedResult[]): string {
  const own = results.filter(({ suite }) => suite === rule.suite);
  const groups = Object.entries(labelled?.groups ?? {});
  return `<h2>${escaped(`${rule.suite} ${rule.version}`)}</h2>
<p><code>sha256 ${escaped(rule.sha256)}</code></p>
${table(own)}${groups.length === 0 ? '' : `\n${groupTable(groups)}`}`;
}

function table(results: readonly ReportedResult[]): string {
  const row = ({ id, verdict, says, tolerated }: ReportedResult): string => {
    const shown = tolerated ? 'tolerated' : verdict;
    return `<tr><td><code>${escaped(id)}</code></td><td class="verdict ${shown}">${shown}</td><td>${escaped(says ?? '')}</td></tr>`;
  };
  return `<table>
<thead><tr><th>Criterion</th><th>Verdict</th><th>Found</th></tr></thead>
<tbody>
${results.map(row).join('\n')}
</tbody>
</table>`;
}

function groupTable(groups: readonly (readonly [string, { readonly right: number; readonly rows: number }])[]): string {
  const row = ([name, { right, rows }]: (typeof groups)[number]): string =>
    `<tr><td>${escaped(name)}</td><td>${right} of ${rows}</td></tr>`;
  return `<table>
<thead><tr><th>Group of labelled rows</th><th>Right</th></tr></thead>
<tbody>
${groups.map(row).join('\n')}
</tbody>
</table>`;
}
