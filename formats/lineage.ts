import { parseDocument } from 'yaml';
import type { Stated, StatedLineage } from '../domain/lineage.js';
import { CustodyError } from '../domain/errors.js';
import { parseJson, printable } from './json.js';

/** Larger documents are weights, vocabularies and the like. */
export const MAX_STATED_BYTES = 1024 * 1024;
const MAX_DEPTH = 6;
const MAX_STATED = 100;

/** Hugging Face's model cards and PEFT's adapters, and what distillers write. */
const BASE = /^(?:base_model(?:_name)?(?:_or_path)?|parent_model|teacher_model(?:_name)?(?:_or_path)?)$/;
const COMPRESSED = /^(?:quantization_config|quantization|compression_config|quant_method|base_model_relation)$/;
const RELATION = 'base_model_relation';
const SMALLER = /^(?:quantized|quantised|pruned|distilled)$/i;
const FRONT_MATTER = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---(?:\r?\n|$)/;

/** Whether a setting of this name says what a model was made from. */
export function namesBase(setting: string): boolean {
  return BASE.test(setting);
}

/** What a JSON document, or the front matter of a text, says of the models that this one was made from. */
export function statedIn(file: string, bytes: Buffer): StatedLineage {
  const found: { bases: Stated[]; compressed: Stated[] } = { bases: [], compressed: [] };
  const visit = (node: unknown, depth: number): void => {
    if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return;
    for (const [setting, value] of Object.entries(node)) {
      const texts = (Array.isArray(value) ? value : [value]).filter((each) => typeof each === 'string');
      if (namesBase(setting))
        for (const text of texts) keep(found.bases, { file, setting, says: printable(text.slice(0, 200)) });
      if (isCompressed(setting, value)) keep(found.compressed, { file, setting, says: printable(texts.join(', ')) });
      visit(value, depth + 1);
    }
  };
  visit(documentIn(file, bytes), 0);
  return found;
}

function keep(list: Stated[], stated: Stated): void {
  if (list.length < MAX_STATED) list.push(stated);
}

/** A word of a vocabulary may be called so, and then has a number. */
function isCompressed(setting: string, value: unknown): boolean {
  if (!COMPRESSED.test(setting)) return false;
  if (setting === RELATION) return typeof value === 'string' && SMALLER.test(value);
  return typeof value === 'string' || (typeof value === 'object' && value !== null);
}

function documentIn(file: string, bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    if (/^\s*\{/.test(text.slice(0, 1000))) return parseJson(bytes, file, { maxBytes: MAX_STATED_BYTES });
    const [, front] = FRONT_MATTER.exec(text) ?? [];
    return front === undefined ? null : (parseDocument(front).toJS({ maxAliasCount: 0 }) as unknown);
  } catch (error) {
    // What is no document says nothing: whether it may be in a release, the scan has judged.
    if (error instanceof CustodyError || error instanceof ReferenceError || error instanceof RangeError) return null;
    throw error;
  }
}
