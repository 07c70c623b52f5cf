import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkTemplate } from '../../../formats/scan/jinja.js';
import { statementsOf } from '../../../formats/scan/jinja-statements.js';
import { scanBytes } from '../../support/artifacts.js';

const FOLDER = 'test/unit/scan/templates';
const RUNS = Number(process.env['CUSTODY_FUZZ_RUNS'] ?? 300);
const ESCAPE = 'x.__class__.__mro__[1].__subclasses__()';

const asFile = (template: string): ReturnType<typeof scanBytes> =>
  scanBytes(Buffer.from(template), 64 * 1024, 'chat_template.jinja');
const inTokenizer = (template: string): ReturnType<typeof scanBytes> =>
  scanBytes(Buffer.from(JSON.stringify({ chat_template: template })), 64 * 1024, 'tokenizer_config.json');

describe('a chat template of the kind that models have', () => {
  it.each(readdirSync(FOLDER))('has nothing against it: %s', (name) => {
    const template = readFileSync(join(FOLDER, name), 'utf8');
    expect(asFile(template).findings).toEqual([]);
    expect(inTokenizer(template).findings).toEqual([]);
  });

  it.each([
    "{% set ns = namespace(keys=['a', 'b']) %}{% for k in ns.keys %}{{ messages[0][k] }}{% endfor %}",
    '{% if a %}{% set n = 1 %}{% else %}{% set n = 0 %}{% endif %}{{ messages[n].role }}',
    '{% for k, v in tools[0].items() %}{{ tools[0][k] }}{% endfor %}',
    "{{ messages | map(attribute='content') | join('\\n') }}{{ messages | groupby('role') }}",
    "{{ '{:.2f} of {}'.format(1.5, 2) }}",
    "{% set f = '_' %}{{ messages[0].content | replace('-', f) }}",
  ])('has nothing against it: %s', (template) => {
    expect(asFile(template).findings).toEqual([]);
  });
});

describe('a template that reaches for the interpreter', () => {
  it.each([
    ['braces within braces', `{{ {'a':{}}['a'].__class__ }}`],
    ['an end within a string', `{{ "}}" ~ ${ESCAPE} }}`],
    ['an end within a bracket', `{{ [1, {"%}": {}}, ${ESCAPE}] }}`],
    ['a comment that ends nothing', `{# }} {{ #}{{ ${ESCAPE} }}`],
    ['a megabyte of white space', `{{ ""${' '.repeat(1024 * 1024 + 8000)}.__class__.__mro__ }}`],
    ['a raw block, to a reader that knows none', `{% raw %}{{ ${ESCAPE} }}{% endraw %}`],
    ['what follows a raw block', `{% raw %}{{ "{% endraw %}{{ ${ESCAPE} }}`],
    ['white space that only Python knows', '{{ ""\x85.__class__ }}'],
    ['a string that goes on in the next line', "{{ ''['_\\\n_class_\\\n_'] }}"],
    ['strings side by side', `{{ x['_' "_class_" '_'] }}`],
    ['a name joined by ~', `{% set u = 'a_'[1] %}{% set c = u~u~'class'~u~u %}{{ ''[c] }}`],
    ['a name joined by +', `{% set c = '_' + '_class_' + '_' %}{{ ''[c] }}`],
    ['a name made by format', `{% set c = '%c%cclass%c%c'|format(95,95,95,95) %}{{ ''[c] }}`],
    ['a name made by %', `{% set c = '%c%cclass%c%c' % (95,95,95,95) %}{{ ''[c] }}`],
    ['a name made by join', `{% set c = ['_', '_class_', '_']|join %}{{ ''[c] }}`],
    ['a name made by the method join', `{% set c = '_'.join(['', '', 'class', '', '']) %}{{ ''[c] }}`],
    ['a name made by replace', `{{ ''['xxclassxx'|replace('x', '_')] }}`],
    ['a name made by lower', `{% set n = 'GI_FRAME'|lower %}{{ messages[n] }}`],
    ['a name made by reverse', `{{ ''['emarf_ig'|reverse] }}`],
    ['a name made by a slice', `{{ ''['a_b'[1:2] * 2] }}`],
    ['a name made in a block', `{% set c %}{{ '_' }}{{ '_class_' }}{{ '_' }}{% endset %}{{ ''[c] }}`],
    ['a name in a namespace', `{% set n = namespace(c='') %}{% set n.c = '_' ~ '_class_' ~ '_' %}{{ ''[n.c] }}`],
    ['a name in a list', `{% for c in ['_' ~ '_class_' ~ '_'] %}{{ ''[c] }}{% endfor %}`],
    [
      'a name put into a list by another name',
      `{% set l = [] %}{% set m = l %}{{ m.append('_'*2 ~ 'a') }}{{ ''[l[0]] }}`,
    ],
    ['a name given to a macro', `{% macro m(k) %}{{ ''[k] }}{% endmacro %}{{ m('_' ~ '_class_' ~ '_') }}`],
    [
      'a macro that has a namesake',
      `{% macro m(a) %}{{ ''[a] }}{% endmacro %}{{ m('_' ~ '_') }}{% macro m(b) %}{% endmacro %}`,
    ],
    ['a variable that is assigned later', `{% for i in [1, 2] %}{{ ''[c] }}{% set c = '_' ~ '_class_' %}{% endfor %}`],
    ['a token that the tokenizer names', `{{ ''[bos_token] }}`],
    ['a token that may have been assigned', `{% if 0 %}{% set bos_token = 1 %}{% endif %}{{ ''[bos_token] }}`],
    ['a token that is assigned in another scope', `{% for bos_token in [1] %}{% endfor %}{{ ''[bos_token] }}`],
    ['a key of the chat into a namespace', `{% set n = namespace() %}{% for k in messages[0] %}{{ n[k] }}{% endfor %}`],
    [
      'a key of the chat into a generator',
      `{% set g = messages|map('upper') %}{% for k in messages[0] %}{{ g[k] }}{% endfor %}`,
    ],
    ['a key of the chat into a function', `{% for k in messages[0] %}{{ raise_exception[k] }}{% endfor %}`],
    ['a call of what the chat names', `{% for k in messages[0] %}{{ messages[0][k]() }}{% endfor %}`],
    ['a call of a variable', `{% set f = messages[0].x %}{{ f() }}`],
    ['the filter attr', `{{ x|attr('y') }}`],
    ['the filter attr by map', `{{ [x]|map('attr', 'y')|list }}`],
    ['map of a filter that is a variable', `{{ [x]|map(f, 'y')|list }}`],
    ['map of an attribute', `{{ [x]|map(attribute='__class__')|list }}`],
    ['map of an attribute within one', `{{ [x]|map(attribute='a.__class__')|list }}`],
    ['an attribute to sort by', `{{ [x]|sort(false, false, a ~ b) }}`],
    ['an attribute to select by', `{{ [x]|selectattr('__class__', 'defined')|list }}`],
    ['spread arguments', `{{ [x]|map(*['attr', 'y'])|list }}`],
    ['a format string', `{{ '{0.x}'.format(x) }}`],
    ['a format string with an item', `{{ '{0[x]}'.format(x) }}`],
    ['a format string that is a variable', `{% set f = '{0.x}' %}{{ f.format(x) }}`],
    ['format, called later', `{% set f = '{0.x}'.format %}`],
    ['format, by its name', `{{ ''['format'] }}`],
    ['a frame', `{{ ([1]|map('upper')).gi_frame }}`],
    ['a method of anything else', `{{ messages.popen('id') }}`],
    ['a function that nobody knows', `{{ open('/etc/passwd') }}`],
    ['a filter that nobody knows', `{{ x|shell }}`],
    ['a name with two meanings', `{% set range = messages[0].x %}{{ range(1) }}`],
    ['a statement that loads another', `{% extends 'x' %}`],
    ['a statement that shows what is there', `{% debug %}`],
  ])('attack: by %s', (_, template) => {
    expect(new Set(asFile(template).rules)).toEqual(new Set(['template-escape']));
    expect(new Set(inTokenizer(template).rules)).toEqual(new Set(['template-escape']));
  });

  it.each([
    ['an object of templates', { chat_template: { default: `{{ ${ESCAPE} }}` } }],
    ['a list of templates', { chat_template: [{ name: 'tool_use', template: `{{ ${ESCAPE} }}` }] }],
    ['a list of texts', { chat_template: [`{{ ${ESCAPE} }}`] }],
    ['any member', { prompts: { system: ['a', 'b', 'c', 'd', 'e', `{{ ${ESCAPE} }}`] } }],
    ['the whole document', `{{ ${ESCAPE} }}`],
  ])('attack: in JSON, as %s', (_, document) => {
    expect(scanBytes(Buffer.from(JSON.stringify(document)), 9, 'x.json').rules).toContain('template-escape');
  });

  it.each(['x.txt', 'README.md', 'config.yaml', 'prompt', 'weights.bin'])('attack: in a file called %s', (name) => {
    expect(scanBytes(Buffer.from(`a: "{{ ${ESCAPE} }}"\n`), 9, name).rules).toContain('template-escape');
  });

  it('attack: that nobody could read is not clean where something says that it is a template', () => {
    for (const broken of ['{{ a b }}', '{% for %}', '{{ "', '{% endfor %}', '{{ (] }}', '{# ', '{% if a %}'].map(
      (t) => `${t} x`,
    )) {
      expect(asFile(broken).rules).toEqual(['malformed']);
      expect(inTokenizer(broken).rules).toEqual(['malformed']);
    }
  });

  it('attack: that is larger or deeper than what is read is not clean wherever it is', () => {
    for (const bomb of [
      `{{ ${'['.repeat(5000)}${']'.repeat(5000)} }}`,
      `{{ x${'.a'.repeat(5000)} }}`,
      `{{ ${'1,'.repeat(200_000)} }}`,
      `{{ ${'a'.repeat(5000)} }}`,
    ])
      expect(scanBytes(Buffer.from(bomb), 64 * 1024, 'notes.txt').rules).toContain('resource-limit');
  });
});

describe('text that only looks like a template', () => {
  it.each([
    '@article{a, title={{BERT}: Pre-training}, author={{A} and {B}}}',
    '$\\frac{{a}}{{b}}$',
    'a Go template: {{ if .System }}{{ .System }}{{ end }}',
    '{{#each items}}{{this}}{{/each}}',
    'function f() { return {{}} }',
  ])('has nothing against it: %s', (text) => {
    expect(scanBytes(Buffer.from(text), 7, 'README.md').findings).toEqual([]);
  });

  it('attack: may be one of a kin of Jinja, and may not name the interpreter', () => {
    expect(scanBytes(Buffer.from('{{ if x.__class__ }}'), 7, 'README.md').rules).toEqual(['template-escape']);
  });
});

interface Read {
  readonly template: string;
  readonly members: readonly string[];
  readonly filters: readonly string[];
  readonly strings: readonly string[];
  readonly names: readonly string[];
}

/** What Jinja 3.1.6 takes, and what it finds in it. */
const JINJA = JSON.parse(readFileSync('test/unit/scan/jinja-3.1.6.json', 'utf8')) as readonly Read[];

function partsOf(value: unknown, parts: Map<string, Set<unknown>>): void {
  if (typeof value !== 'object' || value === null) return;
  const { kind, name, value: said } = value as Record<string, unknown>;
  const found = parts.get(String(kind)) ?? new Set();
  parts.set(String(kind), found.add(kind === 'string' ? said : name));
  for (const each of Object.values(value)) partsOf(each, parts);
}

describe('the grammar of templates', () => {
  it('finds every attribute, filter, string and name that Jinja finds', () => {
    for (const { template, members, filters, strings, names } of JINJA) {
      const parts = new Map<string, Set<unknown>>();
      partsOf(statementsOf(template), parts);
      const missed = [
        ...([
          ['member', members],
          ['filter', filters],
          ['string', strings],
          ['name', names],
        ] as const),
      ].flatMap(([kind, expected]) => expected.filter((each) => parts.get(kind)?.has(each) !== true));
      expect({ template, missed }).toEqual({ template, missed: [] });
    }
  });

  const part = fc.constantFrom(
    ...[
      '{{',
      '}}',
      '{%',
      '%}',
      '{#',
      '#}',
      '-}}',
      ' for a in b ',
      ' if a ',
      ' endif ',
      ' endfor ',
      ' set a = b ',
      ' raw ',
    ],
    ...[
      'a',
      'messages',
      '.',
      '[',
      ']',
      '(',
      ')',
      '{',
      '}',
      ',',
      ':',
      '|',
      '~',
      '+',
      "'",
      '"',
      '\\',
      '1',
      '_',
      ' ',
      '\n',
    ],
    ...[' is ', ' not ', ' in ', ' else ', ' macro m(a) ', ' endmacro ', ' m(a) ', 'join', 'map', 'attr', '=', 'é'],
  );

  it('throws nothing, of anything', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), fc.boolean(), (parts, isClaimed) => {
        const rules: string[] = [];
        checkTemplate(parts.join(''), (_, rule) => rules.push(rule), { isClaimed });
        expect(['malformed', 'resource-limit', 'template-escape']).toEqual(expect.arrayContaining(rules));
      }),
      { numRuns: RUNS * 10 },
    );
  });

  it('looks at each expression a bounded number of times', () => {
    const PASSES = 14;
    for (const unit of [
      '{{ m(m(m(m(1)))) }}',
      '{% set a = b %}{% set b = c %}{% set c = a ~ 1 %}',
      '{% for a in a %}{% endfor %}',
      '{% macro m(a) %}{{ m(a) }}{% endmacro %}'.slice(0, 0) + '{{ [a, [a, [a]]] | join(a) }}',
    ]) {
      const count = 200;
      const steps = checkTemplate(unit.repeat(count), () => undefined, { isClaimed: true });
      const single = (unit.match(/[a-z\d]+/g) ?? []).length + (unit.match(/[([|~]/g) ?? []).length;
      expect(steps).toBeGreaterThan(0);
      expect(steps).toBeLessThanOrEqual(PASSES * count * single);
    }
    const nested = `{{ ${'m('.repeat(40)}1${')'.repeat(40)} }}`;
    expect(checkTemplate(`{% macro m(a) %}{% endmacro %}${nested}`, () => undefined, { isClaimed: true })).toBeLessThan(
      1000,
    );
  });
});
