import { curveFiguresOf, isMeasured, type Curve, type CurveFigure, type CurvePoint } from './curves.js';
import { digits, escaped, type Results } from './results.js';

/** The part of the page about what one costs as there are more of them. */
export function curvesOn(curves: readonly Curve[], results: Results): readonly string[] {
  const figures = curveFiguresOf(curves, results);
  if (figures.length === 0) return [];
  return [
    '## What one costs as there are more of them',
    '',
    '![What one costs, by how many there are, on logarithmic scales](performance-curves.svg)',
    '',
    ...figures.flatMap(table),
  ];
}

function table(figure: CurveFigure): readonly string[] {
  const { curve, points } = figure;
  const row = (first: string, cells: readonly string[]): string => `| ${[first, ...cells].join(' | ')} |`;
  const each = (read: (point: CurvePoint) => number): string[] => points.map((point) => costOf(read(point)));
  const { peer } = curve;
  return [
    `### \`${curve.bench}\`: ${curve.what}`,
    '',
    row(
      curve.of,
      points.map(({ size }) => digits(size)),
    ),
    row(
      '---',
      points.map(() => '---:'),
    ),
    row(
      unitOf(curve),
      each((point) => point.each),
    ),
    ...(curve.costOf === 'one'
      ? []
      : [
          row(
            `${curve.unit} of all`,
            each((point) => point.each * point.size),
          ),
        ]),
    ...(peer === undefined
      ? []
      : [
          row(
            peer.name,
            each((point) => point.peer ?? 0),
          ),
        ]),
    '',
    `${verdictOf(figure)}${curve.note === undefined ? '' : ` What to know: ${curve.note}.`}`,
    '',
  ];
}

export function unitOf({ unit, of, costOf }: Curve): string {
  return costOf === 'one' ? unit : `${unit} for each of the ${of}`;
}

/** From the fewest to the most, and what was to be. */
export function verdictOf({ curve, growth, isMet }: CurveFigure): string {
  const grown = `Among the most one costs ${digits(growth)}× what it does among the fewest`;
  if (curve.growth === null) return `${grown}.`;
  return `${grown}; at most ${digits(curve.growth)}× was to be: ${isMet ? 'met' : '**missed**'}.`;
}

/** Three digits, also of what is small. */
export function costOf(value: number): string {
  if (value <= 0) return '–';
  return value < 0.01 ? String(Number(value.toPrecision(3))) : digits(value);
}

const [COLUMNS, WIDTH, HEIGHT] = [3, 330, 230];
const PLOT = { left: 58, right: 16, top: 42, bottom: 34 };

/** A panel for each on logarithmic scales: a level line is a cost that does not grow. The peer is dashed. */
export function curvesChart(curves: readonly Curve[], results: Results): string {
  const figures = curveFiguresOf(curves, results);
  const [width, height] = [COLUMNS * WIDTH, Math.max(1, Math.ceil(figures.length / COLUMNS)) * HEIGHT];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>What one costs, by how many there are, on logarithmic scales</title>',
    '<style>text{font:11px system-ui,sans-serif;fill:#222}.head{font-weight:600}polyline{fill:none;stroke-width:2}</style>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...figures.map(
      (figure, at) =>
        `<g transform="translate(${(at % COLUMNS) * WIDTH} ${Math.floor(at / COLUMNS) * HEIGHT})">${panel(figure)}</g>`,
    ),
    '</svg>',
    '',
  ].join('\n');
}

function panel({ curve, points, isMet }: CurveFigure): string {
  const ours = points.filter(isMeasured).map(({ size, each }) => ({ size, value: each }));
  const theirs = points.flatMap(({ size, peer }) => (peer === null || peer <= 0 ? [] : [{ size, value: peer }]));
  const x = scale(
    points.map(({ size }) => size),
    PLOT.left,
    WIDTH - PLOT.right,
  );
  const y = scale(
    [...ours, ...theirs].map(({ value }) => value),
    HEIGHT - PLOT.bottom,
    PLOT.top,
  );
  const line = (of: readonly { readonly size: number; readonly value: number }[], style: string): string =>
    `<polyline points="${of.map(({ size, value }) => `${x.at(size)},${y.at(value)}`).join(' ')}" ${style}/>`;
  const colour = isMet ? '#2e7d4f' : '#c0392b';
  const dot = ({ size, value }: { readonly size: number; readonly value: number }): string =>
    `<circle cx="${x.at(size)}" cy="${y.at(value)}" r="3" fill="${colour}"/>`;
  return [
    `<text class="head" x="10" y="16">${escaped(`${curve.bench}: ${curve.what}`)}</text>`,
    `<text x="10" y="31">${escaped(unitOf(curve))}</text>`,
    ...y.ticks.map(
      (value) =>
        `<line x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${y.at(value)}" y2="${y.at(value)}" stroke="#ddd"/>` +
        `<text x="${PLOT.left - 5}" y="${y.at(value) + 4}" text-anchor="end">${tick(value)}</text>`,
    ),
    ...x.ticks.map(
      (value) =>
        `<line x1="${x.at(value)}" x2="${x.at(value)}" y1="${PLOT.top}" y2="${HEIGHT - PLOT.bottom}" stroke="#eee"/>` +
        `<text x="${x.at(value)}" y="${HEIGHT - PLOT.bottom + 15}" text-anchor="middle">${tick(value)}</text>`,
    ),
    ...(theirs.length === 0 ? [] : [line(theirs, 'stroke="#888" stroke-dasharray="4 3"')]),
    line(ours, `stroke="${colour}"`),
    ...ours.map(dot),
  ].join('');
}

interface Scale {
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

/** Whole powers of ten around the values: at least two. */
function scale(values: readonly number[], from: number, to: number): Scale {
  const logs = values.map(Math.log10);
  const least = Math.floor(Math.min(...logs, logs[0] ?? 0));
  const most = Math.max(least + 1, Math.ceil(Math.max(...logs, least)));
  return {
    ticks: Array.from({ length: most - least + 1 }, (_, at) => 10 ** (least + at)),
    at: (value) => Math.round(from + ((Math.log10(value) - least) / (most - least)) * (to - from)),
  };
}

function tick(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1e3 ? `${value / 1e3}k` : String(Number(value.toPrecision(1)));
}
