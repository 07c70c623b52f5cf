import { inspectFiles, assertScanned, type InspectedFile, type Inspector } from '../../adapters/scan/inspect.js';
import { releaseFacts } from '../../adapters/source/facts.js';
import { sha256 } from '../../formats/sha256.js';

/** What reads the files, in these tests. */
export const HERE = sha256('the reader of this process');

/** The scan without its process: the same reading, in this one. */
export const inspectHere: Inspector = async (source, options = {}) => {
  const found: InspectedFile[] = [];
  for await (const file of inspectFiles(source.folder, source.manifest, options.onBytes)) {
    options.signal?.throwIfAborted();
    found.push(file);
  }
  const files = found.map(({ scanned }) => scanned);
  assertScanned(source, files);
  const contents = new Map(found.map(({ scanned, content }) => [scanned.path, content]));
  return { files, facts: releaseFacts(source.manifest, contents), isolation: 'none', reader: HERE };
};
