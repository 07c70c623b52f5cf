import { CustodyError } from '../../domain/errors.js';
import { lookThroughJson, quote } from '../json.js';
import { checkTemplate, isTemplate } from './jinja.js';
import type { Report } from './reader.js';

/** The largest tokenizer.json in use have about 35 MiB. */
export const MAX_JSON_DOCUMENT = 48 * 1024 * 1024;
const LIMITS = { maxBytes: MAX_JSON_DOCUMENT, maxDepth: 200, maxValues: 4_000_000 };

/** Members whose mere presence makes a loader fetch or run code: of transformers, of jsonpickle, of diffusers. */
const REMOTE_CODE = new Set(['auto_map', '_attn_implementation_internal', 'custom_pipeline', 'custom_pipelines']);
const IMPORT_PATHS = new Set(['_target_', 'py/object', 'py/type', 'py/function', 'py/module', 'py/reduce', 'py/repr']);
/** Members that do so where they are true. */
const SWITCHES: Readonly<Record<string, 'remote-code' | 'lambda-layer'>> = {
  trust_remote_code: 'remote-code',
  enable_unsafe_deserialization: 'lambda-layer',
};
/** Layers that hold code of their own. */
const CODE_LAYERS = new Set(['Lambda', 'TFOpLambda', 'SlicingOpLambda', '__lambda__']);
const KERAS_MODULES = /^(keras|keras_nlp|keras_hub|keras_cv|tf_keras|builtins)(\.[A-Za-z0-9_]+)*$/;
/** Keras resolves these in `module`; the rest of `builtins` is not for classes of layers. */
const BUILTIN_CLASSES = new Set(['dict', 'list', 'tuple', 'set', 'int', 'float', 'str', 'bool']);
const SENTENCE_TRANSFORMERS = /^sentence_transformers(\.[A-Za-z0-9_]+)+$/;
/** The name of a kernel to be fetched, rather than of one that is there. */
const FETCHED_KERNEL = /[/:@]/;

/** Looks for what makes a loader of this document run code. Answers why it is no JSON that can be looked through, or `null`. */
export function checkJson(bytes: Uint8Array, report: Report): string | null {
  try {
    lookThroughJson(bytes, 'it', LIMITS, (members, offset) => checkObject(members, offset, report));
    return null;
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
    return error.message;
  }
}

function checkObject(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  // Vocabularies have hundreds of thousands of members that are numbers.
  for (const [key, value] of members) {
    if (typeof value === 'number') continue;
    if (REMOTE_CODE.has(key) && value !== null)
      report(offset(), 'remote-code', `${quote(key)} makes a loader run code from outside the model`);
    if (IMPORT_PATHS.has(key)) report(offset(), 'import-path', `${quote(key)} names something to import and call`);
    const rule = Object.hasOwn(SWITCHES, key) ? SWITCHES[key] : undefined;
    if (rule !== undefined && value !== false && value !== null)
      report(offset(), rule, `${quote(key)} lets a loader run code that comes with the model`);
    if (typeof value !== 'string') continue;
    if ((key === '_attn_implementation' || key === 'attn_implementation') && FETCHED_KERNEL.test(value))
      report(offset(), 'remote-code', `${quote(key)} names a kernel to be fetched: ${quote(value)}`);
    if (isTemplate(value) && (key === 'chat_template' || (key === 'template' && members.has('name'))))
      checkTemplate(value, (_at, rule, message) => report(offset(), rule, `in ${quote(key)}: ${message}`));
  }
  checkClass(members, offset, report);
  const type = members.get('type');
  const isModule = members.has('path') && members.has('idx');
  if (isModule && typeof type === 'string' && !SENTENCE_TRANSFORMERS.test(type))
    report(offset(), 'import-path', `a module of the type ${quote(type)} would be imported`);
}

/** Keras imports `module` and takes `class_name` from it. */
function checkClass(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  const name = members.get('class_name');
  if (typeof name !== 'string') return;
  if (CODE_LAYERS.has(name)) report(offset(), 'lambda-layer', `a layer ${quote(name)} holds code of its own`);
  const module = members.get('module');
  if (module === null || !members.has('module')) return;
  const isKnown = typeof module === 'string' && KERAS_MODULES.test(module);
  if (!isKnown || (module === 'builtins' && !BUILTIN_CLASSES.has(name)))
    report(
      offset(),
      'import-path',
      `the class ${quote(name)} would be imported from ${quote(typeof module === 'string' ? module : 'a module that is no name')}`,
    );
}
