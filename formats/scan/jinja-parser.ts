import { TokenCursor } from './jinja-cursor.js';
import { NoTemplate } from './jinja-lexer.js';
import { depthsWithin, type Arguments, type Node, type NodeShape } from './jinja-nodes.js';

const MAX_DEPTH = 400;
const MAX_NESTING = 100;
const CONSTANTS = new Set(['true', 'false', 'none', 'True', 'False', 'None']);
const COMPARES = new Set(['==', '!=', '<', '<=', '>', '>=']);
const NO_ARGUMENTS: Arguments = { positional: [], named: [], isSpread: false };

/** The grammar of Jinja's expressions, over the tokens of one block. It takes all that Jinja takes. Throws NoTemplate. */
export class ExpressionParser extends TokenCursor {
  private nesting = 0;

  /** An expression, or several with commas between them. */
  tuple(takesCondition = true): Node {
    const { at } = this;
    const items: Node[] = [];
    let isTuple = false;
    while (!this.isEnd() && !this.isOperator(')')) {
      items.push(this.expression(takesCondition));
      if (!this.takesOperator(',')) break;
      isTuple = true;
    }
    const [only] = items;
    if (!isTuple && only !== undefined) return only;
    return this.node(at, { kind: 'list', items });
  }

  expression(takesCondition = true): Node {
    this.nesting += 1;
    if (this.nesting > MAX_NESTING) throw new NoTemplate(this.at, `nested deeper than ${MAX_NESTING} levels`, true);
    const node = takesCondition ? this.condition() : this.or();
    this.nesting -= 1;
    return node;
  }

  /** `|a|b(c)` behind the text of a block, `a|b(c)` of one that begins with a filter. */
  filters(of: Node | null, isFirst = false): Node | null {
    let node = of;
    for (let first = isFirst; first || this.takesOperator('|'); first = false) {
      const { at } = this;
      const name = this.dotted();
      const args = this.isOperator('(') ? this.arguments() : NO_ARGUMENTS;
      node = this.node(at, { kind: 'filter', of: node, name, args });
    }
    return node;
  }

  private condition(): Node {
    let node = this.or();
    while (this.isName('if')) {
      const { at } = this;
      this.take();
      const test = this.or();
      const other = this.takesName('else') ? [this.expression()] : [];
      const chosen = this.node(at, { kind: 'compare', items: [test] });
      node = this.node(at, { kind: 'choice', items: [node, ...other, chosen] });
    }
    return node;
  }

  private or(): Node {
    return this.several(
      'choice',
      () => this.takesName('or'),
      () => this.and(),
    );
  }

  private and(): Node {
    return this.several(
      'choice',
      () => this.takesName('and'),
      () => this.not(),
    );
  }

  private not(): Node {
    const { at } = this;
    let isNot = false;
    while (this.takesName('not')) isNot = true;
    const node = this.compare();
    return isNot ? this.node(at, { kind: 'compare', items: [node] }) : node;
  }

  private compare(): Node {
    const takes = (): boolean => {
      const { kind, value } = this.peek();
      if (kind === 'operator' && COMPARES.has(value)) return this.take();
      if (this.isName('not') && this.isName('in', 1)) return this.take() && this.take();
      return this.takesName('in');
    };
    return this.several('compare', takes, () => this.sum());
  }

  private sum(): Node {
    return this.math(['+', '-'], () =>
      this.several(
        'concat',
        () => this.takesOperator('~'),
        () => this.product(),
      ),
    );
  }

  private product(): Node {
    return this.math(['*', '/', '//', '%'], () => this.math(['**'], () => this.unary(true)));
  }

  private math(operators: readonly string[], operand: () => Node): Node {
    let node = operand();
    for (;;) {
      const { at } = this;
      const operator = operators.find((each) => this.takesOperator(each));
      if (operator === undefined) return node;
      node = this.node(at, { kind: 'math', operator, items: [node, operand()] });
    }
  }

  private unary(takesFilter: boolean): Node {
    const { at } = this;
    const signs: string[] = [];
    while (this.isOperator('-') || this.isOperator('+')) {
      signs.push(this.peek().value);
      this.take();
    }
    let node = this.postfix(this.primary());
    if (signs.length > 0) node = this.postfix(this.node(at, { kind: 'math', operator: '-', items: [node] }));
    return takesFilter ? this.filtered(node) : node;
  }

  private postfix(of: Node): Node {
    let node = of;
    for (;;) {
      if (this.isOperator('.') || this.isOperator('[')) node = this.subscript(node);
      else if (this.isOperator('(')) node = this.node(this.at, { kind: 'call', of: node, args: this.arguments() });
      else return node;
    }
  }

  private filtered(of: Node): Node {
    let node = of;
    for (;;) {
      if (this.isOperator('|')) node = this.filters(node) as Node;
      else if (this.isName('is')) node = this.test(node);
      else if (this.isOperator('(')) node = this.node(this.at, { kind: 'call', of: node, args: this.arguments() });
      else return node;
    }
  }

  private test(of: Node): Node {
    const { at } = this;
    this.take();
    this.takesName('not');
    const name = this.dotted();
    const { kind, value } = this.peek();
    const isWord = kind === 'name' && !['else', 'or', 'and'].includes(value);
    let args = NO_ARGUMENTS;
    if (this.isOperator('(')) args = this.arguments();
    else if (isWord || kind === 'string' || kind === 'number' || this.isOperator('[') || this.isOperator('{'))
      args = { ...NO_ARGUMENTS, positional: [this.postfix(this.primary())] };
    return this.node(at, { kind: 'test', of, name, args });
  }

  private subscript(of: Node): Node {
    const { at } = this;
    if (this.takesOperator('.')) {
      const { kind, value } = this.peek();
      if (kind !== 'name' && kind !== 'number') this.fail('expected a name or a number');
      this.take();
      return kind === 'number'
        ? this.node(at, { kind: 'index', of, key: this.node(at, { kind: 'constant' }) })
        : this.node(at, { kind: 'member', of, name: value });
    }
    this.operator('[');
    const keys: Node[] = [];
    while (!this.isOperator(']')) {
      if (keys.length > 0) this.operator(',');
      keys.push(this.key());
    }
    this.operator(']');
    const [only] = keys;
    const key = keys.length === 1 && only !== undefined ? only : this.node(at, { kind: 'list', items: keys });
    return this.node(at, { kind: 'index', of, key });
  }

  private key(): Node {
    const { at } = this;
    const parts: Node[] = [];
    let isSlice = false;
    while (!this.isOperator(']') && !this.isOperator(',')) {
      if (this.takesOperator(':')) isSlice = true;
      else if (parts.length > 0 && !isSlice) this.fail('expected ]');
      else parts.push(this.expression());
    }
    const [only] = parts;
    return isSlice || only === undefined ? this.node(at, { kind: 'slice', items: parts }) : only;
  }

  private primary(): Node {
    const { kind, value, at } = this.peek();
    if (kind === 'operator') return this.bracketed();
    if (kind === 'end') this.fail('the block ends too early');
    this.take();
    if (kind === 'number' || (kind === 'name' && CONSTANTS.has(value))) return this.node(at, { kind: 'constant' });
    if (kind === 'name') return this.node(at, { kind: 'name', name: value });
    // What stands side by side is one string.
    const parts = [value];
    for (; this.peek().kind === 'string'; this.take()) parts.push(this.peek().value);
    return this.node(at, { kind: 'string', value: parts.join('') });
  }

  private bracketed(): Node {
    const { at } = this;
    if (this.takesOperator('(')) {
      const node = this.tuple();
      this.operator(')');
      return node;
    }
    const isList = this.takesOperator('[');
    const close = isList ? ']' : '}';
    if (!isList) this.operator('{');
    const items: Node[] = [];
    while (!this.takesOperator(close)) {
      if (items.length > 0) this.operator(',');
      if (this.takesOperator(close)) break;
      items.push(this.expression());
      if (isList) continue;
      this.operator(':');
      items.push(this.expression());
    }
    return this.node(at, { kind: 'list', items });
  }

  private arguments(): Arguments {
    const positional: Node[] = [];
    const named: { name: string; value: Node; at: number }[] = [];
    let isSpread = false;
    this.operator('(');
    for (let first = true; !this.takesOperator(')'); first = false) {
      if (!first) this.operator(',');
      if (this.takesOperator(')')) break;
      const { at } = this;
      if (this.takesOperator('*') || this.takesOperator('**')) {
        isSpread = true;
        positional.push(this.expression());
      } else if (this.peek().kind === 'name' && this.isOperator('=', 1)) {
        const name = this.name();
        this.take();
        named.push({ name, value: this.expression(), at });
      } else positional.push(this.expression());
    }
    return { positional, named, isSpread };
  }

  private dotted(): string {
    let name = this.name();
    while (this.takesOperator('.')) name += `.${this.name()}`;
    return name;
  }

  private several(kind: 'choice' | 'compare' | 'concat', takes: () => boolean, operand: () => Node): Node {
    const { at } = this;
    const first = operand();
    if (!takes()) return first;
    const items = [first, operand()];
    while (takes()) items.push(operand());
    return this.node(at, { kind, items });
  }

  private node(at: number, shape: NodeShape): Node {
    let depth = 1;
    for (const child of depthsWithin(shape)) depth = Math.max(depth, child + 1);
    if (depth > MAX_DEPTH)
      throw new NoTemplate(at, `an expression of more than ${MAX_DEPTH} parts in one another`, true);
    return { ...shape, at, depth };
  }
}
