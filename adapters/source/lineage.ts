import { join } from 'node:path';
import type { StatedLineage } from '../../domain/lineage.js';
import { MAX_STATED_BYTES, statedIn } from '../../formats/lineage.js';
import { expectedBytes } from './file.js';
import type { SourceRelease } from './folder.js';

/** What the documents of a release say of its lineage, every byte that is read checked. */
export async function statedLineage({ folder, manifest }: SourceRelease, signal: AbortSignal): Promise<StatedLineage> {
  const stated: StatedLineage[] = [];
  for (const file of manifest.files) {
    if (file.size > MAX_STATED_BYTES) continue;
    const chunks: Buffer[] = [];
    for await (const chunk of expectedBytes(join(folder, file.path), file, { signal })) chunks.push(Buffer.from(chunk));
    stated.push(statedIn(file.path, Buffer.concat(chunks)));
  }
  return {
    bases: stated.flatMap(({ bases }) => bases),
    compressed: stated.flatMap(({ compressed }) => compressed),
  };
}
