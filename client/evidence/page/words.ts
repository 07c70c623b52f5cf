import { escaped } from '../../../formats/markup.js';
import type { Evidence } from '../model.js';

/** A time as people read it: to the second, in UTC. */
export function shownTime(iso: string): string {
  return `<time datetime="${escaped(iso)}">${escaped(`${iso.slice(0, 10)} ${iso.slice(11, 19)}`)}</time>`;
}

/** Links to documents of the dossier, by what they are. */
export function documentLinks({ documents }: Evidence, digests: readonly string[]): string {
  return digests
    .flatMap((digest) => documents.find((each) => each.digest === digest) ?? [])
    .map(
      ({ path, kind, digest }) =>
        `<a href="${escaped(hrefOf(path))}">${escaped(worded(kind))} <code>${escaped(digest.slice(0, 8))}</code></a>`,
    )
    .join(', ');
}

export function recordLinks(evidence: Evidence, indexes: readonly number[]): string {
  return indexes
    .flatMap((index) => evidence.timeline.find((each) => each.index === index) ?? [])
    .map(({ index, proof }) => `<a href="${escaped(hrefOf(proof))}">record ${index}</a>`)
    .join(', ');
}

export function hrefOf(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** A line of smaller print; nothing where there is nothing to say. */
export function more(...parts: readonly string[]): string {
  const said = parts.filter((part) => part !== '');
  return said.length === 0 ? '' : `<p class="more">${said.join(' · ')}</p>`;
}

export type Mark = 'good' | 'bad' | 'odd' | '';

export function tag(mark: Mark, text: string): string {
  return `<span class="tag ${mark}">${escaped(text)}</span>`;
}

/** `testResult` as people write it. */
export function worded(kind: string): string {
  return kind.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
