import {
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  Parser,
  type Document,
  type ParsedNode,
  type Scalar,
} from 'yaml';
import { quote } from '../printable.js';
import { checkObject, checkText } from './constructs.js';
import type { Report } from './reader.js';

/** The largest configurations that people write have a tenth of it. */
const MAX_CHARACTERS = 512 * 1024;
const MAX_TOKENS = 60_000;
/** Nodes in one another, of each way to write them. */
const MAX_DEPTH = 50;
const MAX_INDENT = 100;
const FEW_ELEMENTS = 4;
/** Line breaks of YAML 1.1 only: what is a comment to one reader is none to another. */
const DISPUTED_BREAK = /[\x85\u2028\u2029]/;
const DIRECTIVE = /(?:^|[\n\r\x85\u2028\u2029\ufeff])%TAG[ \t]/;
const TYPES = 'binary|bool|float|int|map|merge|null|omap|pairs|seq|set|str|timestamp|value';
/** As tags are resolved. */
const TOLD_TAG = new RegExp(`^(?:!|tag:yaml\\.org,2002:(?:${TYPES}|python/.*))$`, 's');
/** Tags that make a loader build plain data, as they are spelled. */
const PLAIN_TAG = new RegExp(`^(?:!|!!(?:${TYPES})|!<tag:yaml\\.org,2002:(?:${TYPES})>)$`);
/** Each letter may be written as `%` and two digits. */
const escapable = (text: string): string =>
  [...text].map((char) => `(?:${char.replace(/\./, '\\.')}|%${char.charCodeAt(0).toString(16)})`).join('');
const PYTHON_TAG = new RegExp(`!!${escapable('python/')}|${escapable('tag:yaml.org,2002:python/')}`, 'gi');

/** What in any text makes a YAML loader build objects, whether the whole is YAML or not. Offsets are characters. */
export function checkTags(text: string, report: Report): void {
  for (const { index } of text.matchAll(PYTHON_TAG))
    report(index, 'unsafe-yaml', 'a YAML tag that makes a loader build any Python object');
  const directive = DIRECTIVE.exec(text);
  if (directive !== null) report(directive.index, 'unsafe-yaml', 'a YAML directive that gives tags other names');
}

/** Something that keeps the text from being looked through as YAML. */
interface Problem {
  readonly at: number;
  readonly rule: 'malformed' | 'resource-limit';
  readonly message: string;
}

/**
 * Looks for what makes a loader of this YAML run code. Where nothing says that it is YAML, only those of its documents are
 * looked at that are a mapping or a list without an error. Offsets are characters.
 */
export function checkYaml(text: string, isClaimed: boolean, report: Report): void {
  const problem = shapeProblem(text, isClaimed ? report : null) ?? (isClaimed ? disputed(text) : null);
  if (problem === null) return composed(text, isClaimed, report);
  if (isClaimed) report(problem.at, problem.rule, `it cannot be looked through as YAML: ${problem.message}`);
}

function disputed(text: string): Problem | null {
  const at = text.search(DISPUTED_BREAK);
  return at < 0 ? null : { at, rule: 'malformed', message: 'a line ends there to some readers only' };
}

/** The library's parser has no bounds of its own: none of what it is given may nest or be long. Shows all tags. */
function shapeProblem(text: string, report: Report | null): Problem | null {
  const limit = (at: number, message: string): Problem => ({ at, rule: 'resource-limit', message });
  if (text.length > MAX_CHARACTERS) return limit(0, `more than ${MAX_CHARACTERS} characters`);
  let at = 0;
  let lineAt = 0;
  let tokens = 0;
  let flow = 0;
  let marks = 0;
  let isScalarNext = false;
  for (const token of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > MAX_TOKENS) return limit(at, `more than ${MAX_TOKENS} tokens`);
    if (!isScalarNext) {
      if (token === '\x1f') isScalarNext = true;
      // Marks that the lexer sets between the tokens stand nowhere in the text.
      if (token === '\x02' || token === '\x18' || token === '\x1f') continue;
      if (token === '[' || token === '{') flow += 1;
      if (token === ']' || token === '}') flow -= 1;
      if (token === '-' || token === '?' || token === ':') marks += 1;
      if (flow === 0 && (token === '-' || token === '?') && at - lineAt > MAX_INDENT)
        return limit(at, `indented by more than ${MAX_INDENT}`);
      if (flow === 0 && at === lineAt && /^ +$/.test(token) && token.length > MAX_INDENT)
        return limit(at, `indented by more than ${MAX_INDENT}`);
      if (flow > MAX_DEPTH || (flow === 0 && marks > MAX_DEPTH)) return limit(at, `nested deeper than ${MAX_DEPTH}`);
      if (report !== null && token.startsWith('!') && !PLAIN_TAG.test(token))
        report(at, 'unsafe-yaml', `the tag ${quote(token)} makes a loader build more than data`);
    } else isScalarNext = false;
    at += token.length;
    const lineBreak = token.lastIndexOf('\n');
    if (lineBreak < 0) continue;
    lineAt = at - token.length + lineBreak + 1;
    marks = 0;
  }
  return null;
}

function composed(text: string, isClaimed: boolean, report: Report): void {
  const composer = new Composer({ uniqueKeys: false, merge: false, schema: 'failsafe', prettyErrors: false });
  const parser = new Parser();
  const tokens = function* (): Generator<ReturnType<Parser['next']> extends Generator<infer T> ? T : never> {
    for (const token of new Lexer().lex(text)) yield* parser.next(token);
    yield* parser.end();
  };
  for (const document of composer.compose(tokens(), true, text.length)) {
    const [error] = document.errors;
    if (error !== undefined && isClaimed)
      report(error.pos[0], 'malformed', `it is no YAML that can be looked through: ${error.message}`);
    if (!isClaimed && (error !== undefined || isScalar(document.contents) || document.contents === null)) continue;
    new Documents(document, report, isClaimed).look();
  }
}

function onlyConstructs(report: Report): Report {
  return (at, rule, message) => {
    if (rule !== 'malformed') report(at, rule, message);
  };
}

class Documents {
  private readonly document: Document.Parsed;
  private readonly report: Report;
  private readonly isClaimed: boolean;
  private readonly anchors = new Map<string, unknown>();

  constructor(document: Document.Parsed, report: Report, isClaimed: boolean) {
    this.document = document;
    this.report = isClaimed ? report : onlyConstructs(report);
    this.isClaimed = isClaimed;
  }

  look(): void {
    this.value(this.document.contents, '');
  }

  /** What an object is shown with: a text, a truth value, `null`, a short list of those, or `undefined`. */
  private value(node: unknown, under: string): unknown {
    if (isAlias(node)) return this.anchors.get(node.source);
    const { tag, anchor } = (node ?? {}) as { readonly tag?: string; readonly anchor?: string };
    // Those of Python have been told by how they are spelled, and so has any in what is called YAML.
    if (!this.isClaimed && tag !== undefined && !TOLD_TAG.test(tag))
      this.report(startOf(node) ?? 0, 'unsafe-yaml', `the tag ${quote(tag)} makes a loader build more than data`);
    const value = this.read(node, under);
    if (anchor !== undefined) this.anchors.set(anchor, value);
    return value;
  }

  private read(node: unknown, under: string): unknown {
    if (isMap<ParsedNode, ParsedNode | null>(node)) {
      const at = startOf(node);
      const members = new Map<string, unknown>();
      for (const { key, value } of node.items) {
        const name = this.value(key, '');
        const word = name === null || typeof name === 'boolean' ? sourceOf(key) : name;
        if (typeof word !== 'string') this.report(startOf(key) ?? at ?? 0, 'malformed', 'a key that is no plain text');
        else if (word === '<<') this.report(at ?? 0, 'malformed', 'it merges mappings, which readers do differently');
        else if (members.has(word)) this.report(at ?? 0, 'malformed', `the key ${quote(word)} stands twice`);
        const shown = this.value(value, typeof word === 'string' ? word : '');
        if (typeof word === 'string') members.set(word, shown);
      }
      checkObject(members, under, () => at ?? 0, this.report);
      return undefined;
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.value(item, under));
      return items.length <= FEW_ELEMENTS ? items : undefined;
    }
    if (!isScalar(node)) return null;
    const at = startOf(node) ?? 0;
    const value = textOf(node);
    checkText(value, () => at, this.report);
    // Only these are false, and nothing, to the readers of every version: to some of them `off` is a text, which is true.
    if (node.type !== 'PLAIN' || node.tag !== undefined) return value;
    if (/^(?:false|False|FALSE)$/.test(value)) return false;
    return /^(?:null|Null|NULL|~|)$/.test(value) ? null : value;
  }
}

/** Without a schema, everything is text. */
function textOf({ value }: Scalar): string {
  return typeof value === 'string' ? value : '';
}

/** A key such as `no`, which is a word here. */
function sourceOf(key: unknown): string {
  return isScalar(key) ? textOf(key) : '';
}

function startOf(node: unknown): number | undefined {
  return (node as { range?: readonly number[] | null } | null)?.range?.[0];
}
