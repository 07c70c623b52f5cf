import { join } from 'node:path';
import type { Finding, ScannedFile } from '../../domain/artifacts.js';
import type { Digest } from '../../domain/digest.js';
import type { Isolation } from '../../domain/isolation.js';
import type { FileContent, ReleaseFacts } from '../../domain/release-facts.js';
import { CustodyError } from '../../domain/errors.js';
import type { ComponentKind, Manifest } from '../../domain/manifest.js';
import { quote } from '../../formats/json.js';
import { ContentReader, type TensorCount } from '../source/facts.js';
import type { ReadOptions } from '../source/file.js';
import type { SourceRelease } from '../source/folder.js';
import { scanFile } from './file.js';

/** What of a release is run rather than read. */
const CODE_COMPONENTS: readonly ComponentKind[] = ['serving', 'guardrail'];

/** Beyond so many in a release, each further file is told to show a thing once: what it is refused for stays the same. */
const MANY_FINDINGS = 5000;

export interface InspectedFile {
  readonly scanned: ScannedFile;
  /** What the release's next version can be compared with. */
  readonly content: FileContent;
}

export interface Inspection {
  readonly files: readonly ScannedFile[];
  readonly facts: ReleaseFacts;
  /** What kept the parsers of these files from the rest of the host. */
  readonly isolation: Isolation;
  /** Digest of the program that has read them. */
  readonly reader: Digest;
}

/** Reads every file of a release once: its hash, what is in it, and what speaks against it. */
export type Inspector = (source: SourceRelease, options?: ReadOptions) => Promise<Inspection>;

/** Goes through the files of a release, in one pass over their bytes. Nothing that they hold ends it. */
export async function* inspectFiles(
  folder: string,
  { files, components }: Manifest,
  onBytes?: (bytes: number) => void,
): AsyncGenerator<InspectedFile> {
  const kinds = new Map(components.flatMap(({ kind, files: paths }) => paths.map((path) => [path, kind] as const)));
  const count: TensorCount = { tensors: 0 };
  let told = 0;
  for (const file of files) {
    const kind = kinds.get(file.path) ?? 'documentation';
    const facts = new ContentReader(file, kind, count);
    const options = { also: facts, holdsCode: CODE_COMPONENTS.includes(kind) };
    const found = await scanFile(join(folder, file.path), file.path, {
      ...options,
      ...(onBytes === undefined ? {} : { onBytes }),
    });
    const scanned = told < MANY_FINDINGS ? found : { ...found, findings: firstOfEach(found.findings) };
    told += scanned.findings.length;
    const isAsListed = scanned.size === file.size && scanned.sha256 === file.sha256;
    const isRead = isAsListed && scanned.findings.length === 0;
    yield { scanned, content: isRead ? facts.content() : { kind: 'opaque' } };
  }
}

function firstOfEach(findings: readonly Finding[]): readonly Finding[] {
  return [...new Map([...findings].reverse().map((each) => [each.rule, each])).values()].reverse();
}

/** What was scanned must be what was signed: DIGEST_MISMATCH otherwise. */
export function assertScanned({ manifest }: SourceRelease, scanned: readonly ScannedFile[]): void {
  const found = new Map(scanned.map((file) => [file.path, file]));
  for (const { path, size, sha256 } of manifest.files) {
    const file = found.get(path);
    if (file?.size === size && file.sha256 === sha256) continue;
    const problem = file === undefined ? 'was not scanned' : `has the SHA-256 ${file.sha256}, expected ${sha256}`;
    throw new CustodyError('DIGEST_MISMATCH', `the file ${quote(path)} ${problem}: it is not what was signed`, {
      details: { path, expected: sha256 },
    });
  }
}
