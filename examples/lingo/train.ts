import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import { CustodyError } from '../../domain/errors.js';
import { writeSafetensors, type Tensor } from '../../formats/safetensors.js';
import { exampleFolder } from '../folder.js';

/** Characters that are looked at together. */
const ORDER = 3;
/** Added to every count, so that what was never seen is unlikely, and not impossible (Lidstone). */
const SMOOTHING = 0.5;
const SERVING = ['serve.mjs', 'model.mjs', 'guard.mjs', 'chat.mjs'];

/** The folder of this example. */
export function lingoFolder(): string {
  return exampleFolder('lingo');
}

interface Corpus {
  readonly languages: readonly string[];
  readonly sentences: Readonly<Record<string, readonly string[]>>;
}

export interface Lingo {
  readonly languages: readonly string[];
  readonly ngrams: readonly string[];
  /** Logarithm of how likely an n-gram is in a language, row by row of languages. */
  readonly weights: Float32Array;
}

/** Learns from sentences how often each run of characters stands in each language. */
export function trainLingo({ languages, sentences }: Corpus): Lingo {
  const counts = languages.map((language) => {
    const found = new Map<string, number>();
    for (const sentence of sentences[language] ?? [])
      for (const ngram of ngramsOf(sentence)) found.set(ngram, (found.get(ngram) ?? 0) + 1);
    return found;
  });
  const ngrams = [...new Set(counts.flatMap((found) => [...found.keys()]))].sort();
  const weights = new Float32Array(languages.length * ngrams.length);
  counts.forEach((found, row) => {
    const total = [...found.values()].reduce((sum, count) => sum + count, 0) + SMOOTHING * ngrams.length;
    ngrams.forEach((ngram, at) => {
      weights[row * ngrams.length + at] = Math.log(((found.get(ngram) ?? 0) + SMOOTHING) / total);
    });
  });
  return { languages, ngrams, weights };
}

/** As `serve/model.mjs` cuts them. */
function ngramsOf(sentence: string): string[] {
  const text = [
    ...` ${sentence
      .toLowerCase()
      .replace(/[^\p{L}]+/gu, ' ')
      .trim()} `,
  ];
  return text.slice(0, text.length - ORDER + 1).map((_, at) => text.slice(at, at + ORDER).join(''));
}

/** How the weights of a release are kept: as they were learnt, or smaller. */
export type Form = 'F32' | 'F16' | 'pruned';

export interface LingoOptions {
  readonly model?: string;
  readonly version?: string;
  readonly form?: Form;
}

/** Trains the model and packs it as a release; the same data make the same bytes. */
export async function shipLingo(
  out: string,
  { model = 'lingo', version = '1.0.0', form = 'F32' }: LingoOptions = {},
): Promise<PackedRelease> {
  const folder = lingoFolder();
  const lingo = trainLingo(JSON.parse(readFileSync(join(folder, 'data', 'training.json'), 'utf8')) as Corpus);
  const json = (value: object): string => `${JSON.stringify(value)}\n`;
  const files: [string, string | Buffer][] = [
    ['weights.safetensors', writeSafetensors([tensorOf(lingo, form)])],
    ['config.json', json({ order: ORDER, languages: lingo.languages })],
    ['vocabulary.json', json(lingo.ngrams)],
    ...['system.txt', 'guardrails.json'].map((name): [string, Buffer] => [name, readFileSync(join(folder, name))]),
    ...SERVING.map((name): [string, Buffer] => [name, readFileSync(join(folder, 'serve', name))]),
    ['README.md', card(lingo)],
  ];
  mkdirSync(out, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(out, name), bytes);
  return packRelease(out, {
    model,
    version,
    components: [
      { name: 'weights', kind: 'weights', files: ['weights.safetensors'] },
      { name: 'config', kind: 'config', files: ['config.json'] },
      { name: 'vocabulary', kind: 'vocabulary', files: ['vocabulary.json'] },
      { name: 'system-prompt', kind: 'prompt', files: ['system.txt'] },
      { name: 'guardrails', kind: 'guardrail', files: ['guardrails.json', 'guard.mjs'] },
      { name: 'serving', kind: 'serving', files: SERVING.filter((name) => name !== 'guard.mjs') },
      { name: 'model-card', kind: 'documentation', files: ['README.md'] },
    ],
    serving: { protocol: 'openai-chat', command: ['node', 'serve.mjs'] },
  });
}

function tensorOf({ languages, ngrams, weights }: Lingo, form: Form): Tensor {
  const kept = form === 'pruned' ? pruned(weights) : weights;
  const width = form === 'F16' ? 2 : 4;
  const data = Buffer.alloc(width * kept.length);
  kept.forEach((value, at) => {
    if (form === 'F16') data.writeUInt16LE(half(value), at * width);
    else data.writeFloatLE(value, at * width);
  });
  const dtype = form === 'F16' ? 'F16' : 'F32';
  return { name: 'ngrams.weight', dtype, shape: [languages.length, ngrams.length], data };
}

/** Without the smaller 60 % of its weights, by magnitude. */
function pruned(weights: Float32Array): Float32Array {
  const limit = [...weights].map(Math.abs).sort((a, b) => a - b)[Math.floor(weights.length * 0.6)] ?? 0;
  return weights.map((value) => (Math.abs(value) < limit ? 0 : value));
}

/** Half precision, rounded towards zero; normal numbers only, which is what logarithms of small shares are. */
function half(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
  if (exponent < 1 || exponent > 30) throw new CustodyError('INTERNAL', `${value} is no normal half`);
  return ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}

function card({ languages, ngrams }: Lingo): string {
  return `# Lingo

Says in which language a text is: ${languages.join(', ')}. A table of ${ngrams.length} character trigrams, learnt from the sentences
in \`data/training.json\`. What it is told is never run, and what it answers is cleaned.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [out] = process.argv.slice(2);
  if (out === undefined) throw new CustodyError('USAGE', 'usage: train <folder>');
  const { release } = await shipLingo(out);
  process.stdout.write(`${release}\n`);
}
