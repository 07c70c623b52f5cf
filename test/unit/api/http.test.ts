import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BoundedLog } from '../../../api/log.js';
import { Issuer } from '../../support/issuer.js';
import { BODY, startRig, type Rig } from './rig.js';

let issuer: Issuer;
let rig: Rig;
let token: string;

beforeAll(async () => {
  issuer = await Issuer.start();
  rig = await startRig(issuer);
  token = await issuer.token();
});
afterAll(async () => {
  await rig.stop();
  await issuer.stop();
});

/** Bytes as they are, and what came back until the server ended the connection. */
async function raw(text: string): Promise<string> {
  const socket = connect(Number(new URL(rig.url).port), '127.0.0.1');
  let answer = '';
  socket.setEncoding('utf8').on('data', (part: string) => (answer += part));
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

describe('what the listener refuses', () => {
  const BODIES: [string, unknown, Record<string, string>, number, string][] = [
    ['of another type', JSON.stringify(BODY), { 'content-type': 'text/plain' }, 415, 'MALFORMED'],
    ['of a form', 'model=digits', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'MALFORMED'],
    ['that is compressed', JSON.stringify(BODY), { 'content-encoding': 'gzip' }, 415, 'MALFORMED'],
    ['that is no JSON', '{"model":', {}, 400, 'MALFORMED'],
    ['that is empty', '', {}, 400, 'MALFORMED'],
    ['with one key twice', '{"model":"a","model":"b"}', {}, 400, 'MALFORMED'],
    ['with __proto__', '{"__proto__":{"model":"a"}}', {}, 400, 'MALFORMED'],
    ['with a member nobody knows', { ...BODY, requester: 'alice' }, {}, 400, 'MALFORMED'],
    ['that names another requester', { ...BODY, identity: {} }, {}, 400, 'MALFORMED'],
    ['with a member too few', { ...BODY, bundle: undefined }, {}, 400, 'MALFORMED'],
    ['with a model that is none', { ...BODY, model: '../../endpoint' }, {}, 400, 'MALFORMED'],
    ['with a version that is none', { ...BODY, version: '1.0/../2' }, {}, 400, 'MALFORMED'],
    ['that is too large', { ...BODY, source: 'x'.repeat(70_000) }, {}, 413, 'MALFORMED'],
  ];
  test.each(BODIES)('attack: a body %s', async (_, body, headers, status, code) => {
    const answer = await rig.ask(token, body, { headers });
    expect(answer).toMatchObject({ status, body: { code } });
    expect(Object.keys(answer.body).sort()).toEqual(['code', 'message']);
    expect(JSON.stringify(answer.body)).not.toMatch(/\bat .*\.(js|ts):\d/);
  });

  test('attack: a body whose size is not said is read no further than the limit', async () => {
    const head = `POST /v1/requests/release HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
    const chunk = `${(4096).toString(16)}\r\n${'x'.repeat(4096)}\r\n`;
    const answer = await raw(`${head}transfer-encoding: chunked\r\n\r\n${chunk.repeat(40)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('attack: a token in the query string is refused, unread, and appears nowhere', async () => {
    const answer = await rig.ask(null, BODY, { query: `?access_token=${token}` });
    expect(answer).toMatchObject({ status: 400, body: { code: 'USAGE' } });
    const both = await rig.ask(token, BODY, { query: `?access_token=${token}` });
    expect(both.status).toBe(400);
    const elsewhere = await fetch(`${rig.url}/healthz?token=${token}`);
    expect(elsewhere.status).toBe(400);
    const unknown = await fetch(`${rig.url}/${token}`);
    expect(unknown.status).toBe(404);
    const everything = rig.log() + (await rig.metrics()) + JSON.stringify(answer.body) + (await unknown.text());
    for (const part of token.split('.')) expect(everything).not.toContain(part);
  });

  test('a call is in the log under the id that its answer names, whatever id the caller gives', async () => {
    const answer = await fetch(`${rig.url}/nothing`, { headers: { 'x-request-id': 'mine' } });
    const id = answer.headers.get('x-request-id') ?? '';
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(rig.log()).toContain(`"callId":"${id}"`);
  });

  test('attack: a token in the body appears nowhere', async () => {
    const answers = [await rig.ask(token, { ...BODY, token }), await rig.ask(token, { ...BODY, model: token })];
    expect(answers.map(({ status }) => status)).toEqual([400, 400]);
    const said = answers.map(({ body }) => JSON.stringify(body)).join('');
    for (const part of token.split('.')) expect(rig.log() + (await rig.metrics()) + said).not.toContain(part);
  });

  test('attack: two tokens in two headers', async () => {
    const line = `authorization: Bearer ${token}\r\n`;
    const body = JSON.stringify(BODY);
    const answer = await raw(
      `POST /v1/requests/release HTTP/1.1\r\nhost: x\r\n${line}${line}content-type: application/json\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('attack: headers without end', async () => {
    const answer = await raw(`GET /healthz HTTP/1.1\r\nhost: x\r\nx-pad: ${'x'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"code":"MALFORMED"');
  });

  test('attack: what is no HTTP', async () => {
    expect(await raw('\x16\x03\x01\x02\x00\x01\x00\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('attack: a client that never finishes its headers or its body is dropped within seconds', async () => {
    const [headers, body] = await Promise.all([
      raw('POST /v1/requests/release HTTP/1.1\r\nhost: x\r\n'),
      raw(
        `POST /v1/requests/release HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
      ),
    ]);
    expect(headers).toMatch(/^HTTP\/1\.1 408 /);
    expect(body).toMatch(/^(HTTP\/1\.1 (408|400) |$)/);
  });

  test('another method is told which one is answered', async () => {
    const answer = await fetch(`${rig.url}/v1/requests/release`);
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('POST');
    expect((await fetch(`${rig.url}/healthz`, { method: 'DELETE' })).status).toBe(405);
  });
});

describe('the OpenAPI document', () => {
  const read = async (): Promise<Record<string, never>> =>
    (await (await fetch(`${rig.url}/openapi.json`)).json()) as Record<string, never>;

  test('follows the specification of OpenAPI 3.1', async () => {
    const document = await read();
    const result = await new Validator().validate(structuredClone(document));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    expect(document['openapi']).toBe('3.1.0');
  });

  test('describes every route that is answered, and what is answered', async () => {
    const document = (await read()) as unknown as {
      paths: Record<
        string,
        Record<string, { responses: Record<string, { content: Record<string, { schema: object }> }> }>
      >;
      components: object;
    };
    const ajv = new Ajv2020({ strict: false, formats: { base64: true } });
    const check = (path: string, method: string, status: number, body: unknown): void => {
      const schema = document.paths[path]?.[method]?.responses[String(status)]?.content['application/json']?.schema;
      expect(schema, `${method} ${path} ${status}`).toBeDefined();
      const validate = ajv.compile({ ...schema, components: document.components });
      expect(validate(body), JSON.stringify(validate.errors)).toBe(true);
    };
    const good = await rig.ask(token);
    check('/v1/requests/release', 'post', good.status, good.body);
    for (const bad of [await rig.ask('x'), await rig.ask(token, {}), await rig.ask(await issuer.sign({ sub: 'x' }))])
      check('/v1/requests/release', 'post', bad.status, bad.body);
    for (const path of ['/healthz', '/readyz', '/openapi.json']) {
      const answer = await fetch(rig.url + path);
      check(path, 'get', answer.status, await answer.json());
    }
    const source = readFileSync('api/api.ts', 'utf8');
    const routes = [...source.matchAll(/'(GET|POST) (\/[^']+)'/g)].map(
      ([, method = '', path = '']) => `${method} ${path}`,
    );
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual(routes.sort());
  });

  test('asks for the same body as the listener', async () => {
    const document = (await read()) as unknown as { components: { schemas: Record<string, object> } };
    const ajv = new Ajv2020({ strict: false });
    const validate = ajv.compile(document.components.schemas['ReleaseRequest'] ?? {});
    expect(validate(BODY)).toBe(true);
    for (const body of [
      { ...BODY, requester: 'alice' },
      { ...BODY, model: 'Digits' },
      { ...BODY, source: '' },
    ])
      expect(validate(body)).toBe(false);
  });
});

test('the metrics count answers, refusals and requests, without a word of a caller', async () => {
  const own = await startRig(issuer);
  try {
    await own.ask(token);
    await own.ask('x.y.z');
    const text = await (await fetch(`${own.url}/metrics`)).text();
    expect(text).toContain('custody_api_requests_issued_total{requester="pipeline"} 1');
    expect(text).toContain('custody_api_answers_total{route="POST /v1/requests/release",status="201"} 1');
    expect(text).toContain('custody_api_refusals_total{code="SIGNATURE_INVALID"} 1');
    expect(text).toContain('custody_api_policy_version 1');
    expect(text).toContain('custody_api_issuer_fetches_total{outcome="ok"} 1');
  } finally {
    await own.stop();
  }
});

test('the log is bounded however many calls are refused, and says what was left out', () => {
  let now = 100_000;
  const lines: string[] = [];
  const write = (facts: object, message: string): void => void lines.push(message + JSON.stringify(facts));
  const log = new BoundedLog({ info: write, warn: write } as never, () => now);
  for (let call = 0; call < 5_000; call += 1) log.write('warn', {}, 'refused');
  expect(lines).toHaveLength(100);
  now += 10_000;
  log.write('warn', {}, 'refused');
  expect(lines.slice(100)).toEqual([expect.stringContaining('4900'), expect.stringContaining('refused')]);
});
