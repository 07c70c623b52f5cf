import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { endpointStatus } from '../../client/messages.js';
import { freePort } from '../../client/stack/layout.js';
import { endpointId } from '../../domain/names.js';
import type { TlsFiles } from '../../formats/tls.js';
import { Authority } from '../support/certificates.js';
import { Bench, FIRST, MODEL } from './harness.js';
import { startGateway, tellOfGateway } from './support/further-gateway.js';
import { until } from './support/until.js';

const NEXT = '1.1.0';
const PATIENCE_SECONDS = 180;
const SAMPLES = 10;

let bench: Bench;
const tokens = new Map<string, string>();
const body = JSON.stringify({
  inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data: Array.from({ length: 64 }, () => 0) }],
});
const path = `/v2/models/${MODEL}/infer`;

interface Heard {
  readonly status: number;
  readonly version: string | null;
  readonly code: string | null;
}

/** A caller with the token of a consumer, or none. */
async function call(consumer: string | null, headers: Record<string, string> = {}): Promise<Heard> {
  const token = consumer === null ? {} : { authorization: `Bearer ${tokens.get(consumer) ?? ''}` };
  const answer = await fetch(new URL(path, bench.stack.description.gateway.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...token, ...headers },
    body,
  });
  const { code = null } = (await answer.json()) as { code?: string };
  return { status: answer.status, version: answer.headers.get('x-custody-release-version'), code };
}

const declare = async (id: string, ...options: readonly string[]): Promise<void> => {
  const declared = await bench.cli('consumers', 'declare', id, ...options, '--key', 'oscar');
  expect(declared, declared.stderr).toMatchObject({ code: 0 });
};

beforeAll(async () => {
  bench = await Bench.start((policy) => ({
    ...policy,
    rollout: {
      ...policy.rollout,
      strategy: 'blue-green',
      steps: [
        { weight: 0, bakeSeconds: 0.5, pause: true },
        { weight: 100, bakeSeconds: 0.5 },
      ],
      triggers: { ...policy.rollout.triggers, minimumSamples: SAMPLES, maxLatencyMs: 30_000 },
    },
  }));
  await bench.putFirstInService();
  for (const [id, model] of [
    ['checkout', MODEL],
    ['letters', 'letters'],
  ] as const) {
    const file = join(bench.folder, `${id}.token`);
    await declare(id, '--model', model, '--token', file);
    tokens.set(id, readFileSync(file, 'utf8').trim());
  }
  await declare('mobile', '--model', MODEL, '--subject', 'CN=mobile');
});
afterAll(() => bench?.stop());

describe('a blue-green release', () => {
  const preview = { 'x-custody-preview': NEXT };

  test('is answered by in preview to declared consumers who ask for it, and never to anybody else', async () => {
    const { release } = await bench.source(NEXT);
    await bench.start(await bench.source(NEXT));
    const waiting = await bench.openGate(NEXT);
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
    await until('the preview', PATIENCE_SECONDS, async () => {
      const { version } = await call('checkout', preview);
      return version === NEXT ? true : null;
    });
    const others: [string | null, Record<string, string>][] = [
      ['checkout', {}],
      ['letters', preview],
      [null, preview],
      [null, { ...preview, 'x-custody-caller': 'checkout' }],
      [null, { ...preview, authorization: `Bearer ${'x'.repeat(43)}` }],
    ];
    for (let round = 0; round < SAMPLES; round += 1) {
      expect(await call('checkout', preview)).toEqual({ status: 200, version: NEXT, code: null });
      for (const [who, headers] of others) expect(await call(who, headers)).toMatchObject({ version: FIRST.version });
    }
    const status = await bench.cli('status', MODEL);
    expect(status.stdout).toMatch(/preview +1\.1\.0/);
    // Of all the other callers there have been since the beginning.
    expect(Object.keys(bench.load.report().byRelease)).not.toContain(release);
  });

  test('is switched to by one document, once people have agreed; what served before stays warm, and takes over again', async () => {
    const before = (await endpointStatus(bench.custody, MODEL)).revision;
    const gate = await until('a request to switch', PATIENCE_SECONDS, async () => {
      const { gate: open } = await endpointStatus(bench.custody, MODEL);
      return open?.requestId.startsWith('proceed-') === true ? open : null;
    });
    const waiting = { workflowId: endpointId(MODEL), gate, missing: 1 };
    expect(await bench.tell(endpointId(MODEL), 'approve', await bench.decision('olga', waiting))).toBe(
      'NOT_AUTHORISED',
    );
    expect(await call(null)).toMatchObject({ version: FIRST.version });
    expect(await bench.cli('approve', gate.requestId, '--key', 'bob', '--yes')).toMatchObject({ code: 0 });
    await bench.reached(NEXT, 'in service');
    const { revision, serving } = await endpointStatus(bench.custody, MODEL);
    // The switch, and its promotion.
    expect(revision).toBe(before + 2);
    expect(serving).toMatchObject([
      { version: NEXT, weight: 100 },
      { version: FIRST.version, weight: 0 },
    ]);
    for (const who of ['checkout', null]) expect(await call(who)).toMatchObject({ status: 200, version: NEXT });
    expect((await bench.cli('status', MODEL)).stdout).not.toContain('preview');

    const back = await bench.cli('rollback', MODEL, '--reason', 'not what it was', '--key', 'oscar');
    expect(back, back.stderr).toMatchObject({ code: 0 });
    // Whoever goes on asking for it is served like everybody else.
    for (const who of ['checkout', null])
      expect(await call(who, preview)).toMatchObject({ status: 200, version: FIRST.version });
    expect((await endpointStatus(bench.custody, MODEL)).revision).toBe(revision + 1);
    const { byStatus, errors, mixed } = bench.load.report();
    expect({ mixed, errors, failed: Object.keys(byStatus).filter((code) => Number(code) >= 500) }).toMatchObject({
      mixed: 0,
      errors: {},
    });
  });
});

describe('a policy that refuses unknown callers', () => {
  test('is followed by the gateway at once: by token, nobody else is answered, and it is in the log', async () => {
    const { newest } = await bench.custody.records.policies();
    const yaml = join(bench.folder, 'refuse.yaml');
    const out = join(bench.folder, 'refuse.signed.json');
    writeFileSync(yaml, stringify({ ...newest, version: newest.version + 1, inventory: { unknownCallers: 'refuse' } }));
    expect(await bench.cli('policy', 'sign', yaml, '--key', 'rosa', '--out', out)).toMatchObject({ code: 0 });
    const applied = await bench.cli('policy', 'apply', out);
    expect(applied, applied.stderr).toMatchObject({ code: 0 });
    await until('strangers to be refused', PATIENCE_SECONDS, async () =>
      (await call(null)).status === 401 ? true : null,
    );

    expect(await call(null)).toMatchObject({ status: 401, code: 'UNKNOWN_CALLER' });
    expect(await call(null, { 'x-custody-caller': 'checkout' })).toMatchObject({ status: 401 });
    expect(await call(null, { authorization: `Bearer ${'x'.repeat(43)}` })).toMatchObject({ status: 401 });
    expect(await call('letters')).toMatchObject({ status: 403, code: 'NOT_A_CONSUMER' });
    expect(await call('checkout')).toMatchObject({ status: 200, version: FIRST.version });
    const refused = await until('refused callers in the log', PATIENCE_SECONDS, async () => {
      const found = (await bench.log()).find(({ change }) => change === 'caller.refused');
      return found ?? null;
    });
    expect(refused.subject.model).toBe(MODEL);
  });

  test('knows consumers by the subject of their certificates, at a gateway that speaks TLS', async () => {
    const pki = join(bench.folder, 'pki');
    const callersOnly = await Authority.create(join(pki, 'callers'));
    const [mobile, stranger, gateway] = await Promise.all([
      callersOnly.host('mobile', ['127.0.0.1']),
      callersOnly.host('stranger', ['127.0.0.1']),
      callersOnly.host('gateway', ['127.0.0.1']),
    ]);
    const elsewhere = await (await Authority.create(join(pki, 'elsewhere'))).host('mobile', ['127.0.0.1']);
    const port = await freePort();
    const socket = join(bench.folder, 'tls-gateway.sock');
    await startGateway(bench, {
      name: 'tls-gateway',
      listen: { host: '127.0.0.1', port, tls: gateway },
      admin: { socket },
    });
    // Its zones have users of their own.
    chmodSync(socket, 0o666);
    const further = { admin: socket, url: `https://127.0.0.1:${port}` };
    await tellOfGateway(bench, 'serving', further);
    await tellOfGateway(bench, 'control', further);

    /** What a caller with this certificate is answered; the error of the connection where there is none. */
    const callWith = async (held: TlsFiles | null, headers: Record<string, string> = {}): Promise<unknown> => {
      const own = held === null ? {} : { cert: readFileSync(held.certificate), key: readFileSync(held.key) };
      const asked = request({
        ...{ host: '127.0.0.1', port, path, method: 'POST', agent: false },
        ...{ ca: readFileSync(gateway.authorities), ...own },
        headers: { 'content-type': 'application/json', ...headers },
      });
      asked.end(body);
      try {
        const [answer] = (await once(asked, 'response')) as [IncomingMessage];
        const said = await text(answer);
        return answer.statusCode === 503 ? said : answer.statusCode;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    await until('the further gateway to serve', PATIENCE_SECONDS, async () => {
      const status = await callWith(mobile);
      if (status !== 200) throw new Error(String(status));
      return true;
    });
    const bearer = { authorization: `Bearer ${tokens.get('checkout') ?? ''}` };
    expect(await callWith(stranger)).toBe(401);
    expect(await callWith(stranger, { 'x-custody-caller': 'mobile' })).toBe(401);
    expect(await callWith(stranger, bearer)).toBe(200);
    expect(await callWith(mobile, bearer)).toBe(401);
    for (const held of [null, elsewhere]) expect(await callWith(held)).toMatch(/^(ECONNRESET|EPIPE|ERR_SSL_)/);
    const { models } = await createGatewayClient(socket).callers();
    const seen = models.find(({ model }) => model === MODEL)?.callers ?? [];
    expect(seen.find(({ id }) => id === 'mobile')).toMatchObject({ kind: 'declared', refused: 0 });
  });
});
