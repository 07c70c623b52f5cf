import { curvesOn } from './curve-report.js';
import type { Curve } from './curves.js';
import { median } from './measure.js';
import { digits, escaped, figuresOf, goalOf, isMet, limitOf, paces, type Figure, type Results } from './results.js';
import type { Row } from './rows/row.js';

/** The page about the figures and the curves, with the charts beside it. */
export function page(rows: readonly Row[], curves: readonly Curve[], results: Results): string {
  const figures = figuresOf(rows, results);
  const { processor, cores, gib, kernel, node } = results.machine;
  const missed = figures.filter((figure) => !isMet(figure));
  return [
    '# Performance',
    '',
    '`npm run bench` measures all of this, installs who is measured beside it by name and version, and writes this page and',
    '`bench/results.json`. `npm run bench -- kill verify` runs some. Where there is a peer, both run in turns in the same run, and medians',
    'are compared; a ratio above one is in Custody’s favour. What each bench does exactly stands at the top of its file in `bench/`, and',
    'what profiles showed in [`bench/profiles.md`](../bench/profiles.md).',
    '',
    `The machine: ${processor}, ${cores} cores, ${gib} GiB, ${kernel}, Node.js ${node}.`,
    '',
    ...pace(figures),
    `${figures.length} figures, ${figures.length - missed.length} reach their goal.`,
    '',
    '![How much of its goal each figure reaches](performance.svg)',
    '',
    '| bench | what | Custody | beside | ratio | goal | |',
    '| --- | --- | ---: | --- | ---: | --- | --- |',
    ...figures.map(line),
    '',
    ...curvesOn(curves, results),
    ...notes(figures),
    ...limits(missed),
  ].join('\n');
}

/** How this machine compares with the one on which the goals were set. */
function pace(figures: readonly Figure[]): readonly string[] {
  const all = paces(figures).sort((a, b) => a.times - b.times);
  const [least, most] = [all[0], all.at(-1)];
  if (least === undefined || most === undefined) return [];
  const said = ({ name, times }: typeof least): string => `${digits(times)} times for ${name}`;
  return [
    `The goals were set on another machine. What the peers did there took this one ${said(least)} to ${said(most)},`,
    `${digits(median(all.map(({ times }) => times)))} times in the median: a goal in seconds is as much harder to reach here, or easier.`,
    '',
  ];
}

function limits(missed: readonly Figure[]): readonly string[] {
  const said = missed.map((figure) => {
    const { bench, what } = figure.row;
    return `- \`${bench}\`, ${what}: ${digits(figure.ofGoal * 100)} % of its goal; ${limitOf(figure)}.`;
  });
  return section('What is missed, and why', said);
}

/** Each thing once; nothing where there is nothing to say. */
function section(title: string, said: readonly string[]): readonly string[] {
  return said.length === 0 ? [] : [`## ${title}`, '', ...new Set(said), ''];
}

function line(figure: Figure): string {
  const { row, ours, peer, times } = figure;
  const beside = row.peer === undefined || peer === null ? '' : `${row.peer.name}: ${digits(peer)}`;
  const cells = [
    ...[`\`${row.bench}\``, row.what, `${digits(ours)} ${row.unit}`, beside, times === null ? '' : `${digits(times)}×`],
    ...[goalOf(figure), isMet(figure) ? 'met' : `**missed: ${digits(figure.ofGoal * 100)} %**`],
  ];
  return `| ${cells.join(' | ')} |`;
}

function notes(figures: readonly Figure[]): readonly string[] {
  const said = figures.flatMap(({ row: { bench, what, note } }) =>
    note === undefined ? [] : [`- \`${bench}\`, ${what}: ${note}.`],
  );
  return section('What is not equal', said);
}

const [LABELS, BARS, LINE, TOP] = [470, 380, 22, 46];
/** A tenth of the goal, and a hundred times it. */
const [LEAST, MOST] = [-1, 2];

/** One bar a figure, on a logarithmic scale; where the line is, the goal is reached. */
export function chart(rows: readonly Row[], results: Results): string {
  const figures = figuresOf(rows, results);
  const [width, height] = [LABELS + BARS + 80, TOP + figures.length * LINE + 20];
  const x = (ofGoal: number): number => {
    const place = (Math.min(MOST, Math.max(LEAST, Math.log10(ofGoal))) - LEAST) / (MOST - LEAST);
    return Math.round(LABELS + place * BARS);
  };
  const bars = figures.map((figure, at) => {
    const y = TOP + at * LINE;
    const [from, to] = [Math.min(x(1), x(figure.ofGoal)), Math.max(x(1), x(figure.ofGoal))];
    const colour = isMet(figure) ? '#2e7d4f' : '#c0392b';
    return [
      `<text x="${LABELS - 8}" y="${y + 14}" text-anchor="end">${escaped(`${figure.row.bench}: ${shortened(figure.row.what)}`)}</text>`,
      `<rect x="${from}" y="${y + 4}" width="${Math.max(2, to - from)}" height="${LINE - 8}" fill="${colour}"/>`,
      `<text x="${to + 6}" y="${y + 14}">${digits(figure.ofGoal)}×</text>`,
    ].join('');
  });
  const ticks = [0.1, 1, 10, 100].map(
    (value) =>
      `<line x1="${x(value)}" x2="${x(value)}" y1="${TOP - 6}" y2="${height - 16}" stroke="${value === 1 ? '#333' : '#ddd'}"/>` +
      `<text x="${x(value)}" y="${TOP - 12}" text-anchor="middle">${value === 1 ? 'goal' : `${value}×`}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>How much of its goal each figure reaches, on a logarithmic scale</title>',
    '<style>text{font:12px system-ui,sans-serif;fill:#222}</style>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...ticks,
    ...bars,
    '</svg>',
    '',
  ].join('\n');
}

function shortened(text: string): string {
  return text.length <= 58 ? text : `${text.slice(0, 57)}…`;
}
