import { once } from 'node:events';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Bench, MODEL } from './harness.js';
import { Secrets } from './support/secrets.js';

interface Span {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
}
interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}
interface Delivery {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

const received: Span[] = [];
let everything = '';
/** What takes traces in, as a collector does. */
const collector = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8');
    everything += text;
    for (const { resource, scopeSpans } of (JSON.parse(text) as Delivery).resourceSpans) {
      const named = resource.attributes.find(({ key }) => key === 'service.name');
      const service = named?.value.stringValue ?? '';
      for (const { spans } of scopeSpans) received.push(...spans.map((span) => ({ ...span, service })));
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});

let bench: Bench;
beforeAll(async () => {
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '200';
  bench = await Bench.start();
  await bench.putFirstInService();
});
afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  delete process.env['OTEL_BSP_SCHEDULE_DELAY'];
  await bench.stop();
  collector.close();
});

/** The spans from this one up to the root of its trace. */
function upFrom(span: Span): readonly Span[] {
  const parent = received.find(({ spanId, traceId }) => spanId === span.parentSpanId && traceId === span.traceId);
  return parent === undefined ? [span] : [span, ...upFrom(parent)];
}

test('one trace leads from a command, through the workflow, to the activity in another process', async () => {
  const killed = await bench.cli('kill', MODEL, '--reason', 'a reason that is nobody else’s', '--key', 'oscar');
  expect(killed.code).toBe(0);
  await expect.poll(() => received.map(({ name }) => name)).toContain('RunActivity:killEndpoint');
  const act = received.find(({ name }) => name === 'RunActivity:killEndpoint')!;
  const way = (): string[] => upFrom(act).map(({ service, name }) => `${service}: ${name}`);
  await expect
    .poll(way)
    .toEqual(['custody-control: RunActivity:killEndpoint', 'custody: UpdateWorkflow:kill', 'custody: custody kill']);
});

test('traces hold nobody’s text and no secret', () => {
  expect(everything).not.toContain('nobody else’s');
  expect(everything).not.toContain('PRIVATE KEY');
});

test('a command is as good where nobody takes its trace', async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
  const status = await bench.cliWith(env, 'status', MODEL);
  expect(status.code).toBe(0);
});

const lines = (process: string): Record<string, unknown>[] =>
  readFileSync(bench.stack.layout.log(process), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('what an activity logs says of which workflow, run, activity and attempt it is', async () => {
  const source = await bench.source('1.2.0');
  const [file = ''] = readdirSync(source.folder).filter((name) => name !== 'custody.json');
  appendFileSync(join(source.folder, file), 'what nobody has signed');
  await bench.start(source);
  const failed = (): unknown => lines('intake').find(({ msg }) => String(msg).includes('failed'));
  await expect.poll(failed).toMatchObject({
    zone: 'intake',
    workflowId: `lifecycle/${MODEL}/1.2.0`,
    runId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    activityId: expect.stringMatching(/./),
    activityType: expect.stringMatching(/./),
    attempt: 1,
  });
  expect(failed()).not.toHaveProperty('taskToken');
});

test('attack: no log of any process holds a secret of the stack; one that did would be found', () => {
  const secrets = new Secrets(bench.state);
  secrets.take();
  expect(secrets.names.length).toBeGreaterThan(15);
  expect(readdirSync(bench.stack.layout.path('logs')).length).toBeGreaterThan(8);
  expect(secrets.leaks()).toEqual([]);
  const stored = JSON.parse(readFileSync(bench.stack.layout.path('store-secrets.json'), 'utf8')) as { control: string };
  appendFileSync(bench.stack.layout.log('control'), `{"msg":"the key is ${stored.control}"}\n`);
  expect(secrets.leaks()).toEqual(["the store's account control in logs/control.log"]);
});
