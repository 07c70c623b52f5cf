import { quote } from '../printable.js';
import type { Report } from './reader.js';

/** Layers that hold code of their own. */
const CODE_LAYERS = new Set(['Lambda', 'TFOpLambda', 'SlicingOpLambda', '__lambda__']);
/** The parts of Keras that hold what a model is built of; the others hold functions that load, fetch and switch. */
const PARTS =
  'activations|constraints|dtype_policies|engine|initializers|layers|losses|metrics|models|ops|optimizers|quantizers|random|' +
  'regularizers|backend\\.common\\.variables|saving\\.legacy';
const MODULE = new RegExp(
  `^(?:keras|tf_keras|tensorflow\\.keras|tensorflow\\.python\\.keras)(?:\\.src)?(?:\\.(?:${PARTS})(?:\\.\\w+)*)?$`,
);
const LIBRARIES = /^keras_(?:nlp|hub|cv)(?:\.src)?\.(?:layers|models|tokenizers|samplers|metrics|losses)(?:\.\w+)*$/;
/** Keras resolves these in `builtins`; the rest of it is not for classes of layers. */
const BUILTINS = new Set(['dict', 'list', 'tuple', 'set', 'int', 'float', 'str', 'bool']);
const NAME = /^[A-Za-z_]\w*$/;

/** Keras imports `module` and takes `class_name` from it, or what was registered by `registered_name`. */
export function checkClass(members: ReadonlyMap<string, unknown>, offset: () => number, report: Report): void {
  if (!members.has('class_name')) return;
  const name = members.get('class_name');
  const registered = members.get('registered_name');
  const isKeras = ['module', 'config', 'registered_name'].some((key) => members.has(key));
  for (const each of [name, registered]) {
    const last = typeof each === 'string' ? (each.split('>').at(-1) ?? '') : '';
    if (CODE_LAYERS.has(last)) report(offset(), 'lambda-layer', `a layer ${quote(last)} holds code of its own`);
  }
  if (!isKeras) return;
  const shown = typeof name === 'string' ? quote(name) : 'that is no name';
  if (name === 'function' || registered === 'function')
    report(offset(), 'import-path', 'a function by its name, of any module that the loader has');
  else if (typeof name !== 'string' || !NAME.test(name.split('>').at(-1) ?? ''))
    report(offset(), 'import-path', `the class ${shown} is none of Keras`);
  const isOwn = typeof registered !== 'string' || registered === name || /^keras\w*>\w+$/.test(registered);
  if (!isOwn) report(offset(), 'import-path', `the class ${shown} is registered by code from outside the model`);
  const module = members.get('module');
  if (module === null || !members.has('module')) return;
  const isKnown =
    module === 'builtins'
      ? typeof name === 'string' && BUILTINS.has(name)
      : typeof module === 'string' && (MODULE.test(module) || LIBRARIES.test(module));
  if (!isKnown && name !== 'function')
    report(
      offset(),
      'import-path',
      `the class ${shown} would be imported from ${typeof module === 'string' ? quote(module) : 'what is no name'}`,
    );
}
