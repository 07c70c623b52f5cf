import { beforeAll, describe, expect, test } from 'vitest';
import type { MetricSource } from '../../adapters/metrics/port.js';
import { fillTemplate } from '../../domain/metrics.js';

/** What has been counted of a canary when the suite begins. */
export interface Measured {
  readonly source: MetricSource;
  readonly model: string;
  readonly release: string;
  readonly requests: number;
}

/** What the watch relies on, of any metric source. `start` answers once the source knows the series of the canary. */
export function metricSourceSuite(name: string, start: () => Promise<Measured>): void {
  describe(name, () => {
    let on: Measured;
    beforeAll(async () => {
      on = await start();
    });
    const ask = (query: string, model = on.model) =>
      on.source.ask(fillTemplate(query, { model, release: on.release, version: '1.1.0', revision: '3' }));
    const requests = 'custody_gateway_requests{model="{{model}}",release="{{release}}",revision="{{revision}}"}';

    test('answers with the series of the release, its labels and its value', async () => {
      expect(await ask(requests)).toMatchObject({
        kind: 'series',
        series: [{ labels: { model: on.model, release: on.release, version: '1.1.0' }, value: on.requests }],
      });
    });

    test('answers with nothing where there is no such series', async () => {
      expect(await ask(requests, 'letters')).toEqual({ kind: 'series', series: [] });
      expect(await ask('ALERTS{alertname="NobodyHasWritten",model="{{model}}"}')).toEqual({
        kind: 'series',
        series: [],
      });
    });

    test('answers with all series where there are several', async () => {
      const answer = await ask('custody_gateway_requests{model="{{model}}"}');
      expect(answer.kind === 'series' && answer.series.length).toBeGreaterThanOrEqual(2);
    });

    test.each([
      ['NaN', '0 * custody_gateway_requests{release="{{release}}"} / 0', NaN],
      ['+Inf', 'custody_gateway_requests{release="{{release}}"} / 0', Infinity],
      ['-Inf', '-custody_gateway_requests{release="{{release}}"} / 0', -Infinity],
    ])('says %s where it is', async (_, query, value) => {
      expect(await ask(query)).toMatchObject({ kind: 'series', series: [{ value }] });
    });

    test.each([
      ['a query that is none', 'sum(custody_gateway_requests'],
      ['a scalar', '1'],
      ['a text', '"x"'],
      ['a range', 'custody_gateway_requests{release="{{release}}"}[5m]'],
    ])('does not know %s', async (_, query) => {
      expect(await ask(query)).toMatchObject({ kind: 'unknown', reason: expect.stringMatching(/./) });
    });

    test.each(['"} or vector(0) #', '\\', '"', 'x\n', '\u0000', 'digits"} or up{job="gateway'])(
      'attack: a model that is called %j has no series, and is no query',
      async (model) => {
        expect(await ask(requests, model)).toEqual({ kind: 'series', series: [] });
      },
    );
  });
}
