import { escaped } from '../../../formats/markup.js';

/** Every chart is drawn for screens and for phones: the style of the page shows one of them. */
export const WIDTHS = { wide: 960, narrow: 360 } as const;

/** What a chart is to be drawn into. */
export interface Canvas {
  readonly name: keyof typeof WIDTHS;
  readonly height: number;
}

export function svg({ name, height }: Canvas, label: string, content: string): string {
  return `<svg class="${name}" viewBox="0 0 ${WIDTHS[name]} ${height}" role="img" aria-label="${escaped(label)}">${content}</svg>`;
}

/** A coordinate: to a tenth. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
