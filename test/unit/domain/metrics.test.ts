import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  fillTemplate,
  judgeAlert,
  judgeMetric,
  templateProblem,
  type MetricAnswer,
  type Places,
  type Series,
} from '../../../domain/metrics.js';
import { value } from '../../support/metrics.js';

const places: Places = { model: 'digits', release: 'a'.repeat(64), version: '1.1.0', revision: '3' };
const series = (...each: Series[]): MetricAnswer => ({ kind: 'series', series: each });
const unknown: MetricAnswer = { kind: 'unknown', reason: 'Prometheus did not answer within 5000 ms' };

describe('a query with placeholders', () => {
  test('is filled in its label values', () => {
    const query = 'sum(rate(errors{model="{{model}}", release!="{{release}}",job="x-{{version}}"}[1m])) > {{';
    expect(fillTemplate(query.replace(' > {{', ''), places)).toBe(
      `sum(rate(errors{model="digits", release!="${places.release}",job="x-1.1.0"}[1m]))`,
    );
  });

  const hostile = ['"} or vector(0) #', 'x"', '\\', '\\"', 'a\nb', '{{release}}', "'`\u0000\u007f", '$&$1', '}'];
  test.each(hostile)('attack: a label value %j stays one label value', (model) => {
    const filled = fillTemplate('up{model="{{model}}"} == 1', { ...places, model });
    const [, inside = ''] = /^up\{model="((?:[^"\\\n]|\\[^])*)"\} == 1$/.exec(filled) ?? [];
    const read = inside.replace(/\\(x[0-9a-f]{2}|["\\])/g, (_, said: string) =>
      said.startsWith('x') && said.length === 3 ? String.fromCharCode(parseInt(said.slice(1), 16)) : said,
    );
    expect(read).toBe(model);
  });

  test('attack: any value at all stays one label value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (model) => {
        const filled = fillTemplate('up{model="{{model}}"}', { ...places, model });
        expect(filled).toMatch(/^up\{model="(?:[^"\\\n]|\\[^])*"\}$/);
      }),
    );
  });

  test.each([
    ['bare', 'up{model={{model}}}'],
    ['as a name', '{{model}}{a="b"}'],
    ['in single quotes', "up{model='{{model}}'}"],
    ['in back quotes', 'up{model=`{{model}}`}'],
    ['in a regular expression', 'up{model=~"{{model}}"}'],
    ['in a negated one', 'up{model!~"{{model}}"}'],
    ['as an argument', 'label_replace(up, "a", "{{model}}", "b", "c")'],
    ['in a comment', 'up # ="{{model}}"'],
    ['after the end of a quote that seems open', 'up{a="\\\\"} or {{model}}'],
    ['compared by ==', 'up == "{{model}}"'],
    ['with a name that there is not', 'up{model="{{modle}}"}'],
    ['with spaces', 'up{model="{{ model }}"}'],
    ['that does not end', 'up{model="{{model"}'],
  ])('attack: one that stands %s is refused', (_, query) => {
    expect(templateProblem(query)).not.toBeNull();
  });

  test.each([
    'up',
    'up{model="{{model}}"}',
    'up{model = "{{model}}",version!="{{version}}"}',
    'up{a="\\"",model="{{model}}"} # it’s "fine"',
    'up{a=\'"\',model="x{{model}}y{{revision}}"}',
    'sum by (model) (up{release="{{release}}"})',
  ])('%s is one', (query) => {
    expect(templateProblem(query)).toBeNull();
  });
});

describe('a metric', () => {
  const rule = { name: 'errors', query: 'q', atMost: 0.1, atLeast: -1 };
  test.each<[string, MetricAnswer, readonly MetricAnswer[], string]>([
    ['at its limit', series(value(0.1)), [], 'sound'],
    ['at its other limit', series(value(-1)), [series(value(0))], 'sound'],
    ['above its limit', series(value(0.100001)), [], 'fail'],
    ['below its limit', series(value(-1.1)), [], 'fail'],
    ['that is no number', series(value(NaN)), [], 'hold'],
    ['without end', series(value(Infinity)), [], 'hold'],
    ['without end downwards', series(value(-Infinity)), [], 'hold'],
    ['without a series', series(), [], 'hold'],
    ['with two series, both good', series(value(0), value(0)), [], 'hold'],
    ['with two series, both bad', series(value(9), value(9)), [], 'hold'],
    ['that the source does not know', unknown, [], 'hold'],
    ['whose required series is missing', series(value(0)), [series(value(1)), series()], 'hold'],
    ['whose required series is missing, though it is bad', series(value(9)), [series()], 'hold'],
    ['whose required series is unknown', series(value(0)), [unknown], 'hold'],
  ])('%s: %#', (_, answer, required, kind) => {
    expect(judgeMetric(rule, answer, required).kind).toBe(kind);
  });

  test('is never sound by what is missing, whatever the answer', () => {
    const answer = fc.oneof(
      fc.constant(unknown),
      fc
        .array(fc.record({ labels: fc.constant({}), value: fc.double() }), { maxLength: 3 })
        .map((all) => series(...all)),
    );
    fc.assert(
      fc.property(answer, fc.array(answer, { maxLength: 3 }), (said, required) => {
        if (judgeMetric(rule, said, required).kind !== 'sound') return;
        expect(said).toMatchObject({ kind: 'series', series: [{ value: expect.toSatisfy(Number.isFinite) }] });
        for (const each of required)
          expect(each).toMatchObject({ kind: 'series', series: expect.not.objectContaining({ length: 0 }) });
      }),
    );
  });
});

describe('an alert', () => {
  const rule = { name: 'security', query: 'q', requires: ['r'] };
  const loaded = [series(value(1))];
  test.each<[string, MetricAnswer, readonly MetricAnswer[], string]>([
    ['that does not fire', series(), loaded, 'sound'],
    ['that fires', series(value(1, { alertname: 'Leak' })), loaded, 'fail'],
    ['that fires, though nothing else is known', series(value(1)), [unknown], 'fail'],
    ['that fires many times', series(value(1), value(1)), loaded, 'fail'],
    ['whose rules are not loaded', series(), [series()], 'hold'],
    ['that nobody can tell', unknown, loaded, 'hold'],
    ['whose rules nobody can tell', series(), [unknown], 'hold'],
  ])('%s', (_, answer, required, kind) => {
    expect(judgeAlert(rule, answer, required).kind).toBe(kind);
  });
});
