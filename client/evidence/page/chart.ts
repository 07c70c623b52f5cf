import { escaped } from '../../../formats/markup.js';
import type { Evidence, EvidenceStep } from '../model.js';
import { round, svg, WIDTHS, type Canvas } from './svg.js';

const CANVASES: readonly Canvas[] = [
  { name: 'wide', height: 230 },
  { name: 'narrow', height: 220 },
];
const LEFT = 44;
const RIGHT = 14;
const TOP = 26;
const BOTTOM = 40;
/** As little of the whole width as a step has that took hardly any time: it happened, so that it is seen. */
const LEAST = 0.06;

/** What share of the callers the release had, document by document, in a size for screens and one for phones. */
export function shareChart(evidence: Evidence): string {
  return CANVASES.map((canvas) => drawn(evidence, canvas)).join('\n');
}

function drawn({ steps, madeAt, version, timeline }: Evidence, canvas: Canvas): string {
  const { height } = canvas;
  const width = WIDTHS[canvas.name];
  const inner = { width: width - LEFT - RIGHT, height: height - TOP - BOTTOM };
  const y = (weight: number): number => round(TOP + inner.height * (1 - weight / 100));
  const spans = spansOf(steps, madeAt);
  const bars = spans.map(({ step, from, to }) => {
    const x = round(LEFT + from * inner.width);
    const w = round((to - from) * inner.width);
    const rest = step.others.reduce((sum, { weight }) => sum + weight, 0);
    const top = y(step.weight);
    const upper =
      rest === 0
        ? ''
        : `<rect x="${x}" y="${y(step.weight + rest)}" width="${w}" height="${round(top - y(step.weight + rest))}" fill="var(--other)"/>`;
    const own =
      step.weight === 0
        ? ''
        : `<rect x="${x}" y="${top}" width="${w}" height="${round(y(0) - top)}" fill="var(--bar)"/>`;
    const label = `${step.weight} %`;
    const inside = step.weight >= 20;
    const text = `<text x="${round(x + w / 2)}" y="${inside ? top + 17 : top - 6}" text-anchor="middle" style="fill:${inside ? '#fff' : 'var(--soft)'};font-weight:600">${label}</text>`;
    const foot = `<text x="${round(x + w / 2)}" y="${height - BOTTOM + 17}" text-anchor="middle">r${step.revision}</text>`;
    const line = `<line x1="${x}" y1="${TOP}" x2="${x}" y2="${y(0)}" stroke="#fff" stroke-width="2"/>`;
    return `${upper}${own}${line}${w < 26 ? '' : text}${w < 18 ? '' : foot}`;
  });
  const killed = killsIn(timeline, madeAt).map(([since, until]) => {
    const [x, end] = [since, until].map((time) => round(LEFT + placeOf(time, spans, madeAt) * inner.width));
    const w = round(Math.max(3, (end ?? 0) - (x ?? 0)));
    return `<rect x="${x}" y="${TOP}" width="${w}" height="${inner.height}" fill="var(--bad)" fill-opacity=".72"/>`;
  });
  const grid = [0, 50, 100].map(
    (weight) =>
      `<line x1="${LEFT}" y1="${y(weight)}" x2="${width - RIGHT}" y2="${y(weight)}" stroke="var(--line)"/><text x="${LEFT - 8}" y="${y(weight) + 4}" text-anchor="end">${weight} %</text>`,
  );
  const first = steps[0]?.at ?? madeAt;
  const ends = `<text x="${LEFT}" y="${height - 6}">${escaped(clock(first))}</text><text x="${width - RIGHT}" y="${height - 6}" text-anchor="end">${escaped(clock(madeAt))}</text>`;
  const legend = `<rect x="${LEFT}" y="4" width="10" height="10" fill="var(--bar)"/><text x="${LEFT + 16}" y="13">${escaped(version)}</text><rect x="${LEFT + 100}" y="4" width="10" height="10" fill="var(--other)"/><text x="${LEFT + 116}" y="13">other releases</text>${killed.length === 0 ? '' : `<rect x="${LEFT + 216}" y="4" width="10" height="10" fill="var(--bad)"/><text x="${LEFT + 232}" y="13">killed</text>`}`;
  const content = `${grid.join('')}${bars.join('')}${killed.join('')}${ends}${legend}`;
  return svg(canvas, `share of the callers of ${version}`, content);
}

/** From when to when nobody was served at all. */
function killsIn(timeline: Evidence['timeline'], madeAt: string): (readonly [since: string, until: string])[] {
  const found: (readonly [string, string])[] = [];
  let since: string | null = null;
  for (const { change, time } of timeline) {
    if (change === 'endpoint.killed') since ??= time;
    if (change !== 'endpoint.restored' || since === null) continue;
    found.push([since, time]);
    since = null;
  }
  return since === null ? found : [...found, [since, madeAt]];
}

/** Where a time lies, as a part of the whole. */
function placeOf(time: string, spans: ReturnType<typeof spansOf>, madeAt: string): number {
  const at = Date.parse(time);
  for (const { step, from, to } of spans) {
    const [begun, ended] = [Date.parse(step.at), Date.parse(step.until ?? madeAt)];
    if (at < begun) return from;
    if (at <= ended) return ended === begun ? from : from + ((to - from) * (at - begun)) / (ended - begun);
  }
  return 1;
}

/** Where each document begins and ends, as parts of the whole; in the order of time, and never too narrow to be seen. */
function spansOf(
  steps: readonly EvidenceStep[],
  madeAt: string,
): readonly { readonly step: EvidenceStep; readonly from: number; readonly to: number }[] {
  const lengths = steps.map(({ at, until }) => Math.max(0, Date.parse(until ?? madeAt) - Date.parse(at)));
  const total = lengths.reduce((sum, length) => sum + length, 0) || 1;
  const least = Math.min(LEAST, 1 / Math.max(1, steps.length));
  const shares = lengths.map((length) => Math.max(least, length / total));
  const whole = shares.reduce((sum, share) => sum + share, 0);
  let from = 0;
  return steps.map((step, at) => {
    const to = from + (shares[at] ?? 0) / whole;
    const span = { step, from, to };
    from = to;
    return span;
  });
}

function clock(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}
