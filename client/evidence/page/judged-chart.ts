import { MAX_SLOW } from '../../../domain/service.js';
import { escaped } from '../../../formats/markup.js';
import type { Evidence, EvidenceStep, JudgedCounts } from '../model.js';
import { round, svg, WIDTHS, type Canvas } from './svg.js';

/** Where bars begin. */
const LEFTS = { wide: 210, narrow: 118 } as const;
const ROW = 46;
const BAR = 11;
const TOP = 26;
/** For the words behind the longest bar. */
const RIGHT = 110;
/** A step that was watched to a verdict. */
export type JudgedStep = EvidenceStep & { readonly judged: NonNullable<EvidenceStep['judged']> };

/** What part of the answers failed, and was slow, at each step: of the release, and of the first one beside it. */
export function judgedChart(evidence: Evidence, steps: readonly JudgedStep[]): string {
  return (['wide', 'narrow'] as const).map((name) => drawn(evidence, steps, name)).join('\n');
}

function drawn({ version, limits }: Evidence, steps: readonly JudgedStep[], name: Canvas['name']): string {
  const [width, left] = [WIDTHS[name], LEFTS[name]];
  const measures = [
    { what: 'failed', limit: limits?.maxErrorRate ?? 0, of: ({ failures }: JudgedCounts) => failures },
    { what: 'slow', limit: MAX_SLOW, of: ({ slow }: JudgedCounts) => slow },
  ];
  const rows = steps.flatMap(({ revision, weight, judged: { own, beside } }) =>
    measures.map(({ what, limit, of }) => ({
      label: `r${revision} · ${weight} % · ${what}`,
      limit,
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
  const content = `${legend}${drawnRows.join('')}`;
  return svg({ name, height }, `answers of ${version} that failed or were slow, by step`, content);
}

function rateOf(counts: JudgedCounts, of: (counts: JudgedCounts) => number): number {
  return counts.requests === 0 ? 0 : of(counts) / counts.requests;
}
