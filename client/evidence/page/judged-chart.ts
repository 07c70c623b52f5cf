import { escaped } from '../../../formats/markup.js';
import type { Evidence, EvidenceStep } from '../model.js';

interface Size {
  readonly name: 'wide' | 'narrow';
  readonly width: number;
  /** Where bars begin. */
  readonly left: number;
}

const SIZES: readonly Size[] = [
  { name: 'wide', width: 960, left: 210 },
  { name: 'narrow', width: 360, left: 118 },
];
const ROW = 46;
const BAR = 11;
const TOP = 26;
/** For the words behind the longest bar. */
const RIGHT = 110;
/** Of the 95th percentile: so many answers may be slower than the limit. */
const SLOW_LIMIT = 0.05;

type Judged = EvidenceStep & { readonly judged: NonNullable<EvidenceStep['judged']> };
type Counts = Judged['judged']['own'];

const MEASURES: readonly (readonly [what: string, of: (counts: Counts) => number])[] = [
  ['failed', ({ failures }) => failures],
  ['slow', ({ slow }) => slow],
];

/** What part of the answers failed, and was slow, at each step that was watched: of the release, and of those beside it. */
export function judgedChart(evidence: Evidence): string {
  const steps = evidence.steps.filter((step): step is Judged => step.judged !== null);
  return steps.length === 0 ? '' : SIZES.map((size) => drawn(evidence, steps, size)).join('\n');
}

function drawn({ version, limits }: Evidence, steps: readonly Judged[], { name, width, left }: Size): string {
  const limitOf = (what: string): number => (what === 'failed' ? (limits?.maxErrorRate ?? 0) : SLOW_LIMIT);
  const rows = steps.flatMap(({ revision, weight, judged: { own, beside } }) =>
    MEASURES.map(([what, of]) => ({
      label: `r${revision} · ${weight} % · ${what}`,
      limit: limitOf(what),
      bars: [own, ...beside.slice(0, 1)].map((counts) => ({ counts, bad: of(counts), rate: rateOf(counts, of) })),
    })),
  );
  const most = Math.max(...rows.flatMap(({ limit, bars }) => [limit, ...bars.map(({ rate }) => rate)])) || 1;
  const x = (rate: number): number => round(left + ((width - left - RIGHT) * rate) / most);
  const drawnRows = rows.map(({ label, limit, bars }, at) => {
    const y = TOP + at * ROW;
    const own = bars.map(({ counts, bad, rate }, beside) => {
      const top = y + beside * (BAR + 6);
      const bar = `<rect x="${left}" y="${top}" width="${round(Math.max(1.5, x(rate) - left))}" height="${BAR}" fill="var(--${beside === 0 ? 'bar' : 'other'})"/>`;
      const text = `<text x="${x(rate) + 6}" y="${top + BAR - 1}" style="paint-order:stroke;stroke:#fff;stroke-width:3px">${bad} of ${counts.requests}</text>`;
      return `${bar}${text}`;
    });
    const mark = `<line x1="${x(limit)}" y1="${y - 4}" x2="${x(limit)}" y2="${y + 2 * BAR + 10}" stroke="var(--bad)" stroke-dasharray="3 3"/>`;
    return `<text x="${left - 8}" y="${y + BAR - 1}" text-anchor="end">${escaped(label)}</text>${own.join('')}${mark}`;
  });
  const legend = `<rect x="${left}" y="4" width="10" height="10" fill="var(--bar)"/><text x="${left + 16}" y="13">${escaped(version)}</text><rect x="${left + 70}" y="4" width="10" height="10" fill="var(--other)"/><text x="${left + 86}" y="13">beside it</text><line x1="${left + 156}" y1="4" x2="${left + 156}" y2="15" stroke="var(--bad)" stroke-dasharray="3 3"/><text x="${left + 162}" y="13">limit</text>`;
  const height = TOP + rows.length * ROW;
  return `<svg class="${name}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(`answers of ${version} that failed or were slow, by step`)}">${legend}${drawnRows.join('')}</svg>`;
}

function rateOf(counts: Counts, of: (counts: Counts) => number): number {
  return counts.requests === 0 ? 0 : of(counts) / counts.requests;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
