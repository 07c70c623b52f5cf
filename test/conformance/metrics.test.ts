import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createPrometheus } from '../../adapters/metrics/prometheus.js';
import { freePort } from '../../client/stack/layout.js';
import { fillTemplate, judgeAlert } from '../../domain/metrics.js';
import { until } from '../e2e/support/until.js';
import { FakeMetrics, value } from '../support/metrics.js';
import { createWorld } from '../support/world.js';
import { Cleanup, startRig, temporaryFolder, versions } from '../unit/gateway/rig.js';
import { metricSourceSuite, type Measured } from './metrics-suite.js';

const executable = process.env['CUSTODY_PROMETHEUS'];
const cleanup = new Cleanup();
afterAll(() => cleanup.run());

const RULES = `
groups:
  - name: custody
    interval: 200ms
    rules:
      - alert: WeightsLeaked
        expr: custody_gateway_requests{version="1.1.0"} > 0 and on () vector(1)
        labels: { severity: critical, about: "security" }
`;

/** A real gateway with a canary that has answered callers, and a real Prometheus that scrapes it. */
async function startReal(): Promise<Measured> {
  if (executable === undefined) throw new Error('CUSTODY_PROMETHEUS names nothing: run the tests with npm test');
  const world = createWorld();
  const stable = world.release({ version: '1.0.0' });
  const gateway = await startRig(world, cleanup);
  await gateway.serve(stable);
  await gateway.client.deliverStatus(world.status().envelope);
  const chain = world.inService(stable);
  const canary = world.release({ version: '1.1.0', after: chain.at(-1)! });
  await gateway.deliver(...chain);
  await gateway.serve(canary);
  await gateway.deliver(world.routePlan(chain.at(-1)!, canary));
  await versions(gateway.port, 300);
  const state = await gateway.model();
  const requests = state.counters.find(({ release }) => release === canary.release)?.requests ?? 0;

  const bridge = run('node', ['deploy/metrics.mjs', join(gateway.folder, 'admin.sock'), '0']);
  const [ready] = (await once(createInterface(bridge.stdout!), 'line')) as [string];
  const { port: exported } = JSON.parse(ready) as { port: number };
  const folder = temporaryFolder(cleanup);
  const port = await freePort();
  const config = `
global: { scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }
rule_files: [rules.yml]
scrape_configs:
  - job_name: gateway
    static_configs: [{ targets: ["127.0.0.1:${exported}"] }]
`;
  writeFileSync(join(folder, 'rules.yml'), RULES);
  writeFileSync(join(folder, 'prometheus.yml'), config);
  const [file, storage] = [join(folder, 'prometheus.yml'), join(folder, 'data')];
  const listen = `--web.listen-address=127.0.0.1:${port}`;
  run(executable, [`--config.file=${file}`, `--storage.tsdb.path=${storage}`, listen]);
  const source = createPrometheus({ url: `http://127.0.0.1:${port}` });
  const query = `custody_gateway_requests{release="${canary.release}"} == ${requests}`;
  await until('Prometheus to have scraped the gateway', 60, async () => {
    const answer = await source.ask(query);
    return answer.kind === 'series' && answer.series.length === 1 ? answer : null;
  });
  return { source, model: 'digits', release: canary.release, requests };
}

/** A process that ends with the tests. */
function run(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  cleanup.add(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  return child;
}

/** The same answers without any server: what tests of the watch rely on. */
async function startFake(): Promise<Measured> {
  const source = new FakeMetrics();
  const release = 'a'.repeat(64);
  const labels = { model: 'digits', release, revision: '3', version: '1.1.0' };
  source.tell(`custody_gateway_requests{model="digits",release="${release}",revision="3"}`, [value(30, labels)]);
  source.tell('custody_gateway_requests{model="digits"}', [value(30, labels), value(270)]);
  source.tell(`0 * custody_gateway_requests{release="${release}"} / 0`, [value(NaN)]);
  source.tell(`custody_gateway_requests{release="${release}"} / 0`, [value(Infinity)]);
  source.tell(`-custody_gateway_requests{release="${release}"} / 0`, [value(-Infinity)]);
  const unanswerable = [
    'sum(custody_gateway_requests',
    '1',
    '"x"',
    `custody_gateway_requests{release="${release}"}[5m]`,
  ];
  for (const query of unanswerable) source.tell(query, 'Prometheus answered otherwise');
  return { source, model: 'digits', release, requests: 30 };
}

metricSourceSuite('a metric source in memory', startFake);

if (executable === undefined && process.env['CI'] === undefined) test.skip('CUSTODY_PROMETHEUS names a Prometheus');
else {
  let real: Promise<Measured> | undefined;
  const started = (): Promise<Measured> => (real ??= startReal());
  metricSourceSuite("Debian's Prometheus, which scrapes a gateway", started);

  test('an alert that a real rule fires is one, and those of another version are not', async () => {
    const { source, release } = await started();
    const places = { model: 'digits', release, version: '1.1.0', revision: '3' };
    const query = 'ALERTS{alertstate="firing",about="security",release="{{release}}",version="{{version}}"}';
    const rule = { name: 'security', query, requires: ['up{job="gateway"} == 1'] };
    const judged = async (version: string) => {
      const required = await Promise.all(rule.requires.map((each) => source.ask(each)));
      return judgeAlert(rule, await source.ask(fillTemplate(query, { ...places, version })), required);
    };
    await expect
      .poll(() => judged('1.1.0'), { timeout: 60_000 })
      .toEqual({ kind: 'fail', reason: 'alert security: WeightsLeaked is firing' });
    expect(await judged('1.0.0')).toEqual({ kind: 'sound' });
  });
}
