import { ContentReader, releaseFacts } from '../../adapters/source/facts.js';
import type { ComponentKind, Manifest } from '../../domain/manifest.js';
import type { ReleaseFacts } from '../../domain/release-facts.js';
import type { Versioning } from '../../domain/versioning.js';
import { writeSafetensors } from '../../formats/safetensors.js';
import { sha256 } from '../../formats/sha256.js';

/** Every kind of change demands something else, as far as three bumps allow. */
export const CRITERIA: Versioning = {
  components: { added: 'minor', removed: 'major' },
  tensors: { added: 'minor', removed: 'major', shape: 'major', dtype: 'minor' },
  weights: 'minor',
  vocabulary: { added: 'minor', removed: 'major', reordered: 'major' },
  config: { default: 'patch', keys: { model: 'minor', 'model.inputs': 'major' } },
  prompts: 'minor',
  guardrails: 'major',
  dependencies: { added: 'minor', removed: 'minor', major: 'major', minor: 'minor', patch: 'patch' },
  serving: 'minor',
  documentation: 'patch',
  other: 'major',
};

export interface Part {
  readonly kind: ComponentKind;
  readonly version?: string;
  readonly files: Readonly<Record<string, Buffer | string>>;
}

export function f32(...values: readonly number[]): Buffer {
  const data = Buffer.alloc(4 * values.length);
  values.forEach((value, at) => data.writeFloatLE(value, 4 * at));
  return data;
}

export function weights(tensors: Readonly<Record<string, readonly number[]>>, metadata = {}): Buffer {
  return writeSafetensors(
    Object.entries(tensors).map(([name, values]) => ({
      ...{ name, dtype: 'F32', shape: [values.length], data: f32(...values) },
    })),
    metadata,
  );
}

export const PARTS: Readonly<Record<string, Part>> = {
  weights: { kind: 'weights', files: { 'w.safetensors': weights({ a: [1, 2, 3], b: [4, 5] }) } },
  config: { kind: 'config', files: { 'config.json': '{"model":{"inputs":4,"hidden":8},"batch":2}' } },
  labels: { kind: 'vocabulary', files: { 'labels.json': '{"labels":["cat","dog","owl"]}' } },
  words: { kind: 'tokenizer', files: { 'vocab.json': '{"a":0,"b":1,"c":2}' } },
  prompt: { kind: 'prompt', files: { 'system.txt': 'Be brief.' } },
  guardrail: { kind: 'guardrail', files: { 'rules.txt': 'No secrets.' } },
  lock: { kind: 'dependencies', files: { 'requirements.txt': 'torch==2.4.1\nnumpy==1.26.4\n' } },
  serving: { kind: 'serving', files: { 'serve.mjs': 'start();\n' } },
  card: { kind: 'documentation', files: { 'README.md': '# A model\n' } },
};

/** The facts of a release of these parts, found out of its bytes, which come in pieces of `pieces` bytes. */
export function factsOf(
  parts: Readonly<Record<string, Part>> = PARTS,
  { version = '1.0.0', command = ['node', 'serve.mjs'], pieces = 1 << 20 } = {},
): ReleaseFacts {
  const all = Object.values(parts).flatMap(({ kind, files }) =>
    Object.entries(files).map(([path, content]) => ({ kind, path, bytes: Buffer.from(content) })),
  );
  const manifest: Manifest = {
    schema: 'https://custody.dev/manifest/v1',
    ...{ model: 'digits', version },
    components: Object.entries(parts).map(([name, part]) => ({
      ...{ name, kind: part.kind, version: part.version ?? version, files: Object.keys(part.files) },
    })),
    files: all.map(({ path, bytes }) => ({ path, size: bytes.length, sha256: sha256(bytes) })),
    serving: { protocol: 'open-inference-v2', command },
  };
  const count = { tensors: 0 };
  const contents = new Map(
    all.map(({ path, kind, bytes }) => {
      const file = { path, size: bytes.length, sha256: sha256(bytes) };
      const reader = new ContentReader(file, kind, count);
      for (let at = 0; at < bytes.length; at += pieces) reader.add(bytes.subarray(at, at + pieces));
      return [path, reader.content()] as const;
    }),
  );
  return releaseFacts(manifest, contents);
}

/** The same parts with the files of one of them replaced. */
export function withFiles(name: string, files: Part['files'], parts = PARTS): Readonly<Record<string, Part>> {
  const part = parts[name];
  if (part === undefined) throw new Error(`there is no part ${name}`);
  return { ...parts, [name]: { ...part, files } };
}
