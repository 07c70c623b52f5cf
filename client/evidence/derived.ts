import { canonicalBytes } from '../../formats/jcs.js';
import { bomBytes } from './bom.js';
import type { Gathered } from './gather.js';
import { renderPage } from './page/page.js';

export const EVIDENCE = 'evidence.json';
export const PAGE = 'evidence.html';
export const BOM = 'bom.cdx.json';
export const LOG_CHECKPOINT = 'log/checkpoint';

/** What is made of the evidence alone: whoever verifies makes it again. */
export function derivedFiles(gathered: Gathered): ReadonlyMap<string, Buffer> {
  return new Map([
    [EVIDENCE, canonicalBytes(gathered.evidence)],
    [PAGE, Buffer.from(renderPage(gathered.evidence))],
    [BOM, bomBytes(gathered)],
  ]);
}
