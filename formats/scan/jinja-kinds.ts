import { quote } from '../printable.js';
import { KIND, listed, mapped, TEXTS, trimmed, type Given, type Kind } from './jinja-kind.js';
import type { Arguments, Node } from './jinja-nodes.js';
import {
  ATTRIBUTE_PLACE,
  CHANGING_METHODS,
  COUNTING_FILTERS,
  COUNTING_METHODS,
  FUNCTIONS,
  GATEWAYS,
  GENERATING_FILTERS,
  isInside,
  LISTING_FILTERS,
  MAKING_FILTERS,
  MAPPED_FILTERS,
  METHODS,
  PICKING_FILTERS,
  PICKING_METHODS,
  TESTS,
  TRIMMING_FILTERS,
  TRIMMING_METHODS,
} from './jinja-words.js';
import type { Scope } from './jinja-scope.js';

/** What may be a key: with any of these a member cannot be one whose name the template made. */
const KEYS = KIND.number | KIND.literal | KIND.data | KIND.container;
/** Values that have attributes of Python's own functions behind them. */
const GUARDED = KIND.free | KIND.generator | KIND.object | KIND.namespace;
/** A field of a format string that reads no attribute and no item. */
const PLAIN_FORMAT = /^(?:[^{}]|\{\{|\}\}|\{\w*(?:![rsa])?(?::[^{}]*)?\})*$/;

export type Tell = (at: number, message: string) => void;

/** What expressions can be, and which of them may reach what a chat template has no business with. */
export class Kinds {
  private readonly scope: Scope;
  private readonly tell: Tell;
  /** Expressions that were looked at. */
  steps = 0;

  constructor(scope: Scope, tell: Tell) {
    this.scope = scope;
    this.tell = tell;
  }

  of(node: Node): Kind {
    this.steps += 1;
    switch (node.kind) {
      case 'constant':
        return KIND.number;
      case 'string':
        if (node.value.includes('__')) this.tell(node.at, `the string ${quote(node.value)} holds two underscores`);
        return isInside(node.value) ? KIND.made : KIND.literal;
      case 'name':
        if (node.name.startsWith('__')) this.tell(node.at, `the name ${quote(node.name)} leads to the interpreter`);
        return this.scope.read(node.name);
      case 'list':
        return KIND.container | this.all(node.items);
      case 'slice':
        this.all(node.items);
        return KIND.number;
      case 'choice':
        return this.all(node.items);
      case 'compare':
        this.all(node.items);
        return KIND.number;
      case 'concat':
        this.all(node.items);
        return KIND.made;
      case 'math':
        return this.math(node.operator, node.items);
      case 'member':
        return this.member(node.of, node.name, node.at);
      case 'index':
        return this.index(node.of, node.key, node.at);
      case 'call':
        return this.call(node.of, node.args, node.at);
      case 'filter':
        return this.filter(node.of === null ? KIND.made : this.of(node.of), node.name, node.args, node.at);
      case 'test':
        this.of(node.of);
        this.args(node.args, node.at);
        if (!TESTS.has(node.name)) this.tell(node.at, `${quote(node.name)} is no test of Jinja`);
        return KIND.number;
    }
  }

  /** What each round of a loop over it can be. */
  elementOf(kind: Kind): Kind {
    let element = kind & ~(KIND.generator | KIND.root);
    if ((kind & KIND.root) !== 0) element |= KIND.data;
    // The letters of a text are no longer the text that was looked at.
    if ((kind & KIND.literal) !== 0 && (kind & KIND.container) === 0) element = (element & ~KIND.literal) | KIND.made;
    // Whatever was put into one container can be in any other, by whatever name it goes.
    if ((kind & (KIND.root | KIND.data | KIND.container)) !== 0) element |= this.scope.changed();
    return element;
  }

  private all(nodes: readonly Node[]): Kind {
    return nodes.reduce((kind, node) => kind | this.of(node), 0);
  }

  private math(operator: string, items: readonly Node[]): Kind {
    const kinds = items.map((item) => this.of(item));
    const [left = 0, right = 0] = kinds;
    const both = left | right;
    if (operator === '+') {
      const mayJoin = (both & TEXTS) !== 0 && [left, right].every((kind) => (kind & (TEXTS | KIND.data)) !== 0);
      return both | (mayJoin ? KIND.made : 0);
    }
    if (operator === '*') return (both & TEXTS) === 0 ? both : both | KIND.made;
    return operator !== '%' || left === KIND.number ? KIND.number : KIND.made;
  }

  private member(of: Node, name: string, at: number): Kind {
    this.checkMember(of, name, at);
    if (of.kind === 'name' && of.name === 'loop') {
      this.scope.read('loop');
      return name === 'previtem' || name === 'nextitem' ? this.scope.rounds() : KIND.number;
    }
    return this.memberOf(this.of(of), name);
  }

  private checkMember(of: Node, name: string, at: number): void {
    if (of.kind === 'name' && GATEWAYS.has(of.name)) this.tell(at, `${of.name} leads to the interpreter's globals`);
    if (isInside(name)) this.tell(at, `the attribute ${quote(name)} leads to the interpreter`);
    else if (name === 'format' || name === 'format_map') this.tell(at, `${name} reads any attribute that a text names`);
  }

  private memberOf(kind: Kind, name: string): Kind {
    const own = (kind & KIND.namespace) === 0 ? 0 : this.scope.member(name);
    const other = kind & ~KIND.namespace;
    return own | (other === 0 ? 0 : this.elementOf(other));
  }

  private index(of: Node, key: Node, at: number): Kind {
    if (key.kind === 'string') {
      this.of(key);
      this.checkMember(of, key.value, at);
      return this.memberOf(this.of(of), key.value);
    }
    const kind = this.of(of);
    if (of.kind === 'name' && GATEWAYS.has(of.name)) this.tell(at, `${of.name} leads to the interpreter's globals`);
    const keyKind = this.of(key);
    if (key.kind === 'slice') {
      const part = kind & ~KIND.generator;
      return (part & KIND.literal) === 0 ? part : (part & ~KIND.literal) | KIND.made;
    }
    if ((keyKind & ~KEYS) !== 0)
      this.tell(
        at,
        'a member whose name is put together at run time, or comes from a variable that nobody can look at',
      );
    else if ((keyKind & KIND.data) !== 0 && (kind & GUARDED) !== 0)
      this.tell(at, 'a member that the chat names, of what is neither a text nor a list nor a mapping');
    const own = (kind & KIND.namespace) === 0 ? 0 : KIND.free;
    return own | this.elementOf(kind & ~KIND.namespace);
  }

  private call(of: Node, args: Arguments, at: number): Kind {
    const given = this.args(args, at);
    if (of.kind === 'name') return this.callName(of.name, given, at);
    if (of.kind !== 'member') {
      this.of(of);
      this.tell(at, 'a call of what is known at run time only');
      return KIND.free;
    }
    const { name } = of;
    if (of.of.kind === 'name' && of.of.name === 'loop') {
      if (name !== 'cycle' && name !== 'changed') this.tell(at, `a call of loop.${name}`);
      this.scope.read('loop');
      return name === 'cycle' ? given.kind : KIND.number;
    }
    if (name === 'format') {
      if (of.of.kind !== 'string' || !PLAIN_FORMAT.test(of.of.value))
        this.tell(at, 'format reads any attribute that a text names');
      this.of(of.of);
      return KIND.made;
    }
    this.checkMember(of.of, name, at);
    const kind = this.of(of.of);
    if (!METHODS.has(name))
      this.tell(at, `a call of ${quote(name)}, which is no method of a text, a list or a mapping`);
    if (CHANGING_METHODS.has(name)) this.scope.change(given.kind);
    if (COUNTING_METHODS.has(name)) return KIND.number;
    if (PICKING_METHODS.has(name)) return this.elementOf(kind) | given.kind | (name === 'items' ? KIND.container : 0);
    return TRIMMING_METHODS.has(name) ? trimmed(kind, given.kind) : KIND.made | KIND.container;
  }

  private callName(name: string, given: Given, at: number): Kind {
    if (this.scope.enter(name, given)) return KIND.made;
    if (name.startsWith('__')) this.tell(at, `the name ${quote(name)} leads to the interpreter`);
    else if (!FUNCTIONS.has(name)) this.tell(at, `a call of ${quote(name)}, which is not known to be safe`);
    switch (name) {
      case 'range':
        return KIND.container | KIND.number;
      case 'dict':
        return KIND.container | KIND.literal | given.kind;
      case 'namespace':
        if (given.positional.length > 0) this.tell(at, 'a namespace whose members are known at run time only');
        for (const [member, kind] of given.named) this.scope.write(`.${member}`, kind);
        return KIND.namespace;
      default:
        return FUNCTIONS.has(name) ? KIND.made : KIND.free;
    }
  }

  /** Each argument is looked at once: calls stand in calls. */
  private args(args: Arguments, at: number): Given {
    if (args.isSpread) this.tell(at, 'arguments that are known at run time only');
    const positional = args.positional.map((node) => this.of(node));
    const named = args.named.map((each) => {
      if (isInside(each.name)) this.tell(each.at, `the argument ${quote(each.name)} leads to the interpreter`);
      return [each.name, this.of(each.value)] as const;
    });
    const kind = [...positional, ...named.map(([, each]) => each)].reduce((all, each) => all | each, 0);
    return { kind, positional, named };
  }

  /** The kind of what a filter makes of a value. */
  filter(kind: Kind, name: string, args: Arguments, at: number): Kind {
    const given = this.args(args, at).kind;
    this.checkAttributes(name, args, at);
    if (COUNTING_FILTERS.has(name)) return KIND.number;
    if (name === 'default' || name === 'd') return kind | given;
    if (LISTING_FILTERS.has(name)) return listed(kind);
    if (PICKING_FILTERS.has(name)) return this.elementOf(kind);
    if (GENERATING_FILTERS.has(name)) return listed(kind) | KIND.generator;
    if (TRIMMING_FILTERS.has(name)) return trimmed(kind, given);
    if (name === 'attr') this.tell(at, 'the filter attr, which reads any attribute');
    else if (!MAKING_FILTERS.has(name)) this.tell(at, `the filter ${quote(name)}, which is not known to be safe`);
    if (name === 'map') return mapped(kind, args) | KIND.container | KIND.generator;
    if (name === 'groupby') return kind | KIND.container;
    return name.startsWith('from') && (kind & ~(KIND.data | KIND.number)) === 0
      ? KIND.data
      : KIND.made | KIND.container;
  }

  private checkAttributes(name: string, { positional, named }: Arguments, at: number): void {
    const place = ATTRIBUTE_PLACE[name];
    const attributes = named.filter((each) => each.name === 'attribute').map(({ value }) => value);
    const placed = place === undefined ? undefined : positional[place];
    if (placed !== undefined) attributes.push(placed);
    for (const attribute of attributes) {
      if (attribute.kind === 'constant') continue;
      if (attribute.kind !== 'string') this.tell(at, 'an attribute whose name is put together at run time');
      else if (attribute.value.split(/[.,]/).some((part) => isInside(part.trim())))
        this.tell(at, `the attribute ${quote(attribute.value)} leads to the interpreter`);
    }
    if (name !== 'map') return;
    const [applied] = positional;
    if (applied !== undefined && (applied.kind !== 'string' || !MAPPED_FILTERS.has(applied.value)))
      this.tell(at, 'the filter map with what may read any attribute');
  }
}
