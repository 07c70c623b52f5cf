import { escaped } from '../../../formats/markup.js';
import type { Evidence } from '../model.js';

export function renderPage(evidence: Evidence): string {
  return `<!doctype html><title>${escaped(evidence.model)}</title>`;
}
