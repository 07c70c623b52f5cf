import { unsafePath } from '../paths.js';
import { quote } from '../printable.js';
import { checkTemplate, isTemplate } from './jinja.js';
import { checkClass } from './keras-class.js';
import type { Report } from './reader.js';
import { checkJsonModel } from './text-model.js';

/** Members whose mere presence makes a loader fetch or run code: of transformers, of diffusers. */
const REMOTE_CODE = new Set(['auto_map', '_attn_implementation_internal', 'custom_pipeline', 'custom_pipelines']);
/**
 * Members that name what is imported and called: of Hydra, Lightning, torchtune, mmengine, Ray Serve, and of logging, whose
 * factories have the name `()`. What jsonpickle makes begins with `py/`.
 */
const IMPORT_PATHS = new Set(['_target_', 'class_path', '_component_', 'custom_imports', 'import_path', '()']);
/** Members that do so where they are true. */
const SWITCHES: Readonly<Record<string, 'remote-code' | 'lambda-layer'>> = {
  trust_remote_code: 'remote-code',
  enable_unsafe_deserialization: 'lambda-layer',
};
const UNSAFE_SWITCH = /(?:^|\W)enable_unsafe_deserialization$/;
/** Members that name an attention kernel, which with a slash is fetched from elsewhere; a mapping of them, for each part. */
const KERNELS = new Set(['_attn_implementation', 'attn_implementation', 'kernel_config']);
const FETCHED_KERNEL = /[/:@]/;
/** mlx-lm runs the file that this member names. */
const MODEL_CODE = /\.(?:py[cdwx]?|so|dylib|dll)$/i;
const DOTTED = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$/;

/** Members that are imported where they have a dot in them, and what may stand there. */
const IMPORTED: Readonly<Record<string, RegExp>> = {
  // sentence-transformers takes these from torch.
  activation_function: /^torch\.nn\.(?:modules\.[a-z_]+\.)?[A-Z]\w*$/,
  activation_fn: /^torch\.nn\.(?:modules\.[a-z_]+\.)?[A-Z]\w*$/,
  sbert_ce_default_activation_function: /^torch\.nn\.(?:modules\.[a-z_]+\.)?[A-Z]\w*$/,
  // sentence-transformers; of transformers, it has no dot.
  tokenizer_class: /^sentence_transformers(?:\.\w+)*\.[A-Z]\w*$/,
  // The configurations of latent diffusion.
  target: /^(?!)/,
  // mmengine calls what is not in its registry. Others build only what is their own, which is checked where they do.
  type: /^(?:(?:torch\.(?:nn|optim)|sentence_transformers|haystack\w*|pyannote)(?:\.\w+)*\.[A-Z]\w*|mm\w*\.[A-Z]\w*)$/,
};
/** Members that are always imported. */
const MODULES: Readonly<Record<string, RegExp>> = {
  // peft.
  parent_library: /^(?:transformers|diffusers|peft)(?:\.\w+)*$/,
  megatron_core: /^megatron\.core$/,
  // MLflow.
  loader_module: /^mlflow(?:\.\w+)*$/,
};
const SENTENCE_MODULE = /^sentence_transformers(?:\.\w+)*\.(?:models|modules)(?:\.\w+)*\.[A-Z]\w*$/;
const NUMBER_TYPE =
  /^(?:torch|np|numpy)\.(?:(?:b?float|int|uint|complex|bool|double|half|long|short)\w*|\w*Tensor|ndarray)$/;
/** What an object with such a member is built of is imported by its other one: of haystack, of pyannote. */
const BUILT: readonly (readonly [options: string, name: string, own: RegExp])[] = [
  ['init_parameters', 'type', /^haystack(?:_\w+)?\./],
  ['params', 'name', /^pyannote\./],
];
/** Where diffusers takes the parts of a pipeline from: libraries, and folders of its own. */
const PIPELINE_LIBRARIES = new Set([
  ...['diffusers', 'transformers', 'stable_diffusion', 'stable_diffusion_safe', 'paint_by_example', 'deepfloyd_if'],
  ...['latent_diffusion', 'kandinsky', 'shap_e', 'audioldm2', 'unidiffuser', 'wuerstchen', 'stable_cascade'],
  ...['ledits_pp', 'blip_diffusion', 'unclip', 'versatile_diffusion', 'alt_diffusion', 'hunyuandit', 'flux'],
]);

/**
 * One object of a document that a loader reads, and `under` which key it stands: what in it makes the loader run code.
 * `undefined` is what is not shown.
 */
export function checkObject(
  members: ReadonlyMap<string, unknown>,
  under: string,
  offset: () => number,
  report: Report,
): void {
  // Vocabularies have hundreds of thousands of members that are numbers.
  for (const [key, value] of members) if (typeof value !== 'number') checkMember(key, value, offset, report);
  for (const key of Object.keys(SWITCHES)) {
    const value = members.get(key);
    if (typeof value === 'number' && value !== 0) checkMember(key, value, offset, report);
  }
  checkClass(members, offset, report);
  checkModule(members, offset, report);
  checkBuilt(members, offset, report);
  checkLangchain(members, offset, report);
  if (under === '') checkJsonModel(members, offset, report);
  for (const value of under === 'types' || under === 'weight_map' ? members.values() : [])
    if (typeof value === 'string') checkListed(under, value, offset, report);
  if (members.has('_class_name')) checkPipeline(members, offset, report);
  if (!members.has('chat_template') && !(members.has('template') && members.has('name'))) return;
  for (const key of ['chat_template', 'template']) {
    const template = members.get(key);
    if (typeof template === 'string') checkClaimed(template, key, offset, report);
  }
}

/** One text of such a document that is no key. */
export function checkText(text: string, offset: () => number, report: Report): void {
  if (UNSAFE_SWITCH.test(text.slice(-100)))
    report(offset(), 'lambda-layer', `${quote(text)} lets a loader run code that comes with the model`);
  if (isTemplate(text))
    checkTemplate(text, (_, rule, message) => report(offset(), rule, `in a text: ${message}`), { isClaimed: false });
}

/** What is refused for another reason has been told as a text. */
function checkClaimed(template: string, key: string, offset: () => number, report: Report): void {
  if (!/\{[{%#]/.test(template)) return;
  const tell: Report = (_, rule, message) => {
    if (rule === 'malformed') report(offset(), rule, `in ${quote(key)}: ${message}`);
  };
  checkTemplate(template, tell, { isClaimed: true });
}

function checkMember(key: string, value: unknown, offset: () => number, report: Report): void {
  if (REMOTE_CODE.has(key) && value !== null)
    report(offset(), 'remote-code', `${quote(key)} makes a loader run code from outside the model`);
  if (IMPORT_PATHS.has(key) || key.startsWith('py/'))
    report(offset(), 'import-path', `${quote(key)} names something to import and call`);
  const rule = Object.hasOwn(SWITCHES, key) ? SWITCHES[key] : undefined;
  if (rule !== undefined && value !== false && value !== null)
    report(offset(), rule, `${quote(key)} lets a loader run code that comes with the model`);
  if (KERNELS.has(key) && (value === undefined || (typeof value === 'string' && FETCHED_KERNEL.test(value))))
    report(offset(), 'remote-code', `${quote(key)} names a kernel to be fetched`);
  if (key === 'type_hint' && Array.isArray(value)) checkPart(key, value, offset, report);
  if (typeof value !== 'string') return;
  if (key === 'model_file' && MODEL_CODE.test(value))
    report(offset(), 'remote-code', `${quote(key)} makes a loader run ${quote(value)}`);
  if (isForeign(key, value)) report(offset(), 'import-path', `${quote(key)} would be imported: ${quote(value)}`);
}

function isForeign(key: string, value: string): boolean {
  const module = Object.hasOwn(MODULES, key) ? MODULES[key] : undefined;
  if (module?.test(value) === false) return true;
  const imported = Object.hasOwn(IMPORTED, key) ? IMPORTED[key] : undefined;
  return imported !== undefined && DOTTED.test(value) && !imported.test(value) && !NUMBER_TYPE.test(value);
}

/** sentence-transformers imports the `type` of each module that it finds at a `path`. */
function checkModule(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  const type = members.get('type');
  if (typeof type !== 'string' || typeof members.get('path') !== 'string' || isForeign('type', type)) return;
  if ((DOTTED.test(type) || members.has('idx')) && !SENTENCE_MODULE.test(type))
    report(offset(), 'import-path', `a module of the type ${quote(type)} would be imported`);
}

function checkBuilt(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  for (const [options, key, own] of BUILT) {
    const name = members.get(key);
    if (!members.has(options) || typeof members.get(options) === 'number' || typeof name !== 'string') continue;
    if (DOTTED.test(name) && !own.test(name) && !isForeign(key, name))
      report(offset(), 'import-path', `${quote(key)} would be imported: ${quote(name)}`);
  }
}

/** What langchain has serialised: it imports and calls what `id` names, or reads that from the environment. */
function checkLangchain(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  const isWhole = ['lc', 'type', 'id'].every((key) => members.has(key));
  // Words of a vocabulary are numbers.
  if (isWhole && typeof members.get('type') !== 'number' && typeof members.get('id') !== 'number')
    report(offset(), 'import-path', 'an object of langchain, which is imported and called by its id');
}

/** Routers of sentence-transformers import each type; the index of a model in parts has its files opened. */
function checkListed(under: string, value: string, offset: () => number, report: Report): void {
  if (under === 'weight_map' && unsafePath(value) !== null)
    report(offset(), 'unsafe-name', `a part of the model lies outside of it: ${quote(value)}`);
  const isImported = under === 'types' && DOTTED.test(value);
  if (isImported && !SENTENCE_MODULE.test(value) && !NUMBER_TYPE.test(value))
    report(offset(), 'import-path', `a module of the type ${quote(value)} would be imported`);
}

/** diffusers imports the first word of each part, and takes the second from it. */
function checkPipeline(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  if (typeof members.get('_class_name') !== 'string')
    report(offset(), 'remote-code', 'a pipeline that comes with the model');
  // Of a part's own configuration, lists of what it is built of end in `_types`.
  for (const [key, value] of members)
    if (Array.isArray(value) && !/^_|_types$/.test(key)) checkPart(key, value, offset, report);
}

/** A library, a name in it, and perhaps an object that says more. */
function checkPart(key: string, part: readonly unknown[], offset: () => number, report: Report): void {
  const [library, name, more] = part;
  if (part.length < 2 || part.length > 3 || more !== undefined) return;
  if (typeof library !== 'string' || typeof name !== 'string') return;
  if (!PIPELINE_LIBRARIES.has(library.replace(/^diffusers\.pipelines\./, '')))
    report(offset(), 'import-path', `the part ${quote(key)} would be imported from ${quote(library)}`);
}
