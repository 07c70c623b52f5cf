import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../client/stack/layout.js';
import { expressions, metricNames } from '../support/metric-names.js';
import { Bench, environment, MODEL } from './harness.js';

/** Fast enough for a test, and no rate over it is empty. */
const EVERY = '1s';

let bench: Bench;
let prometheus: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  const killed = await bench.cli('kill', MODEL, '--reason', 'to be measured', '--key', 'oscar');
  if (killed.code !== 0) throw new Error(killed.stderr);
  await bench.restore();
  prometheus = await startPrometheus();
});
afterAll(async () => {
  for (const child of children) {
    const ended = once(child, 'exit');
    if (child.kill('SIGKILL')) await ended;
  }
  await bench.stop();
});

/** Debian's, with the alarms as they are shipped, which reads every process of the stack that has metrics. */
async function startPrometheus(): Promise<string> {
  const { metrics, gateway } = bench.custody.description;
  const bridge = run('node', ['deploy/metrics.mjs', gateway.admin, '0']);
  const [ready] = (await once(createInterface(bridge.stdout!), 'line')) as [string];
  const { api, ...zones } = metrics;
  const jobs = {
    zones: Object.values(zones).map((url) => new URL(url).host),
    api: [new URL(api).host],
    gateway: [`127.0.0.1:${(JSON.parse(ready) as { port: number }).port}`],
  };
  const file = join(bench.folder, 'prometheus.yml');
  copyFileSync('deploy/prometheus/rules.yml', join(bench.folder, 'rules.yml'));
  const scrape_configs = Object.entries(jobs).map(([job_name, targets]) => ({
    job_name,
    static_configs: [{ targets }],
  }));
  const global = { scrape_interval: EVERY, scrape_timeout: EVERY, evaluation_interval: EVERY };
  writeFileSync(file, JSON.stringify({ global, rule_files: ['rules.yml'], scrape_configs }));
  const port = await freePort();
  const listen = `--web.listen-address=127.0.0.1:${port}`;
  run(environment('CUSTODY_PROMETHEUS'), [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(bench.folder, 'prometheus')}`,
    listen,
  ]);
  return `http://127.0.0.1:${port}`;
}

function run(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  return child;
}

async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(new URL(path, prometheus)).catch(() => null);
  if (answer === null) return [] as T;
  const { data, error } = (await answer.json()) as { data?: T; error?: string };
  if (data === undefined) throw new Error(`${path}: ${error}`);
  return data;
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}
async function query(expr: string): Promise<readonly Sample[]> {
  const { result = [] } = await ask<{ result?: readonly Sample[] }>(`/api/v1/query?query=${encodeURIComponent(expr)}`);
  return result;
}

test('each zone, the gateway and the api are read, at one address each', async () => {
  await expect.poll(async () => (await query('up == 1')).length).toBe(8);
  const zones = await query('count by (zone) ({__name__=~"(custody|temporal)_.*",job="zones"})');
  expect(zones.map(({ metric }) => metric['zone']).toSorted()).toEqual([
    'control',
    'intake',
    'serving',
    'signing',
    'training',
    'watch',
  ]);
  const instances = await query('count by (instance) (count by (instance, zone) ({job="zones",zone!=""}))');
  expect(instances.map(({ value }) => value[1])).toEqual(Array(6).fill('1'));
});

test('what the dashboard and the alarms are made of is there, or is said to be there only sometimes', async () => {
  const page = readFileSync('docs/observability.md', 'utf8');
  const sometimes = [
    ...page
      .slice(page.indexOf('These are there only once'))
      .split('\n\n', 1)[0]!
      .matchAll(/`([a-z_…]+)`/g),
  ];
  const isSometimes = (name: string): boolean =>
    sometimes.some(([, said = '']) => (said.endsWith('…') ? name.startsWith(said.slice(0, -1)) : name === said));
  expect(metricNames().length).toBeGreaterThan(30);
  const missing = async (): Promise<readonly string[]> => {
    const there = new Set(await ask<readonly string[]>('/api/v1/label/__name__/values'));
    return metricNames().filter((name) => !there.has(name) && !isSometimes(name));
  };
  await expect.poll(missing).toEqual([]);
});

test('attack: a metric that nobody measures would be missed', async () => {
  const there = new Set(await ask<readonly string[]>('/api/v1/label/__name__/values'));
  expect(there.has('custody_kills_late')).toBe(false);
  expect(there.has('custody_kills_late_total')).toBe(true);
});

test('Prometheus takes every expression', async () => {
  for (const expr of expressions()) await query(expr.replaceAll('$__rate_interval', '1m'));
});

test('what was done was measured', async () => {
  const one = async (expr: string): Promise<number> => Number((await query(expr))[0]?.value[1]);
  await expect.poll(() => one('sum(custody_kill_seconds_count)')).toBe(1);
  expect(await one('custody_kill_seconds_sum')).toBeGreaterThan(0);
  expect(await one('custody_policy_expires_timestamp_seconds - time()')).toBeGreaterThan(0);
  await expect.poll(() => one('custody_audit_records')).toBeGreaterThan(3);
});

test('no alarm rings while all is well; one does when a zone is gone', async () => {
  await expect.poll(async () => (await query('custody_measured_timestamp_seconds')).length).toBe(7);
  const firing = await query('ALERTS{alertstate="firing"}');
  expect(firing.map(({ metric }) => metric['alertname'])).toEqual([]);
  bench.signalProcess('watch', 'SIGSTOP');
  try {
    const at = new URL(bench.custody.description.metrics.watch).host;
    const gone = `ALERTS{alertname="CustodyProcessDown",alertstate="firing",instance="${at}"}`;
    await expect.poll(async () => (await query(gone)).length, { timeout: 120_000 }).toBe(1);
  } finally {
    bench.signalProcess('watch', 'SIGCONT');
  }
});
