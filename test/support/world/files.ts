import type { ComponentKind, Manifest } from '../../../domain/manifest.js';
import type { ReleaseName } from '../../../domain/names.js';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { sha256 } from '../../../formats/sha256.js';

export function defaultFiles(version: string): Record<string, Buffer | string> {
  const data = Buffer.alloc(16, version);
  return {
    'weights.safetensors': writeSafetensors([{ name: 'weight', dtype: 'F32', shape: [2, 2], data }]),
    'config.json': `{"version":"${version}"}\n`,
    'serve.mjs': 'process.exit(0);\n',
    'README.md': `# ${version}\n`,
  };
}

export function filesOf(files: Readonly<Record<string, Buffer | string>>): Map<string, Buffer> {
  return new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]));
}

const KINDS: readonly [string, ComponentKind][] = [
  ['.safetensors', 'weights'],
  ['.mjs', 'serving'],
  ['.lock.json', 'dependencies'],
  ['.md', 'documentation'],
  ['.prompt', 'prompt'],
  ['', 'config'],
];

export function manifestOf(
  name: ReleaseName,
  files: ReadonlyMap<string, Buffer>,
  command: readonly string[],
): Manifest {
  const byKind = new Map<ComponentKind, string[]>();
  for (const path of files.keys()) {
    const kind = KINDS.find(([ending]) => path.endsWith(ending))?.[1] ?? 'config';
    byKind.set(kind, [...(byKind.get(kind) ?? []), path]);
  }
  return {
    schema: 'https://custody.dev/manifest/v1',
    ...name,
    components: [...byKind].map(([kind, paths]) => ({ name: kind, kind, version: name.version, files: paths })),
    files: [...files].map(([path, bytes]) => ({ path, size: bytes.length, sha256: sha256(bytes) })),
    serving: { protocol: 'open-inference-v2', command },
  };
}
