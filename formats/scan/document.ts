import { BytePlaces } from '../utf8.js';
import { checkGin } from './gin.js';
import { checkTemplate, isTemplate } from './jinja.js';
import { checkJson } from './json-constructs.js';
import type { Report } from './reader.js';
import { checkTextModel } from './text-model.js';
import { checkTags, checkYaml } from './yaml.js';

/** What only JSON begins with, rather than a template, or text such as `[PAD]`, `[INST]` and `[![badge](…)](…)`. */
const JSON_BEGIN = /^\ufeff?\s*(?:\{(?!\s*[{%#])|\[\s*(?:[[{"]|(?:-?\d[\d.eE+-]*|true|false|null|NaN|-?Infinity)\s*,))/;
const MAYBE_JSON = /^\s*\[/;
const JSON_NAME = /\.json$/i;
/** MLflow calls its own so. */
const YAML_NAME = /(?:\.ya?ml|(?:^|\/)MLmodel)$/i;
const TEMPLATE_NAME = /\.(?:jinja2?|j2)$/i;
/** Names by which an interpreter or a browser runs a text. */
const CODE_NAME =
  /\.(?:py[wix]?|[mc]?js|[mc]?ts|[jt]sx|sh|bash|zsh|ksh|fish|ps1|psm1|bat|cmd|vbs|php\d?|phtml|rb|pl|lua|tcl|x?html?|svg|hta)$/i;
/** An interpreter named in the first line, a PHP tag, a page that a browser runs the scripts of. */
const CODE_BEGIN =
  /^\ufeff?(?:#!|\s*<\?(?:php\b|=)|\s*(?:<\?xml[^>]*>|<!--(?:[^-]|-(?!->))*-->|\s)*<(?:!doctype\s+html|html|script|svg|iframe)\b)/i;

export interface DocumentOptions {
  /** What the file is called in the release. */
  readonly name: string;
  /** Whether it belongs to a component whose code the serving command runs. */
  readonly holdsCode: boolean;
}

/** Looks into a text, as a whole: what it is by its content, and what it would be taken for by its name. */
export function checkDocument(text: string, { name, holdsCode }: DocumentOptions, report: Report): 'json' | 'text' {
  const places = new BytePlaces(text);
  const tell: Report = (at, rule, message) => report(places.before(at), rule, message);
  const isCode = CODE_NAME.test(name) || CODE_BEGIN.test(text);
  if (isCode && holdsCode) return 'text';
  if (isCode) tell(0, 'unexpected-code', 'it is code, which only the components serving and guardrail hold');
  const isYaml = YAML_NAME.test(name);
  const isJson = JSON_NAME.test(name) || JSON_BEGIN.test(text);
  if (isJson || MAYBE_JSON.test(text)) {
    const problem = checkJson(text, report);
    if (problem === null) return 'json';
    if (isJson && !isYaml) {
      report(0, 'malformed', problem);
      return 'json';
    }
  }
  checkTextModel(name, text, tell);
  checkGin(name, text, tell);
  checkTags(text, tell);
  const isClaimed = TEMPLATE_NAME.test(name);
  if (isClaimed ? /\{[{%#]/.test(text) : isTemplate(text)) checkTemplate(text, tell, { isClaimed });
  checkYaml(text, isYaml, tell);
  return 'text';
}
