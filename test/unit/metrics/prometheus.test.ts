import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createPrometheus } from '../../../adapters/metrics/prometheus.js';
import type { MetricAnswer } from '../../../domain/metrics.js';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

async function listen(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const now = (): number => Date.now() / 1000;
const vector = (...values: readonly (readonly [number, string])[]) => ({
  status: 'success',
  data: { resultType: 'vector', result: values.map((value) => ({ metric: { a: 'b' }, value })) },
});

async function answered(answer: RequestListener, timeoutMs = 2000): Promise<MetricAnswer> {
  const url = await listen((incoming, outgoing) => void incoming.resume().on('end', () => answer(incoming, outgoing)));
  return createPrometheus({ url, timeoutMs }).ask('up');
}
const json =
  (value: unknown, status = 200): RequestListener =>
  (_, outgoing) =>
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

describe('a Prometheus', () => {
  test('is asked for this moment, with a bound and the token', async () => {
    let seen: { url: string; auth: string; form: URLSearchParams } | null = null;
    const url = await listen((incoming, outgoing) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (text: string) => (body += text));
      incoming.on('end', () => {
        const { url: path = '', headers } = incoming;
        seen = { url: path, auth: headers.authorization ?? '', form: new URLSearchParams(body) };
        json(vector([now(), '1.5e3']))(incoming, outgoing);
      });
    });
    const source = createPrometheus({ url: `${url}/prometheus`, token: 'secret' });
    expect(await source.ask('up{a="b&c"}')).toEqual({ kind: 'series', series: [{ labels: { a: 'b' }, value: 1500 }] });
    expect(seen).toMatchObject({ url: '/prometheus/api/v1/query', auth: 'Bearer secret' });
    expect(Object.fromEntries(seen!.form)).toMatchObject({ query: 'up{a="b&c"}', timeout: '5000ms', limit: '101' });
    expect(Math.abs(Number(seen!.form.get('time')) - now())).toBeLessThan(5);
  });

  const html: RequestListener = (_, outgoing) =>
    outgoing.writeHead(200, { 'content-type': 'text/html' }).end('<p>log in');
  const many = Array.from({ length: 101 }, () => [now(), '1'] as const);
  const attacks: [string, RequestListener, RegExp][] = [
    ['HTML', html, /answered 200 with text\/html, not JSON/],
    [
      'the way to a login page',
      (_, outgoing) => outgoing.writeHead(302, { location: 'http://127.0.0.1:1/login' }).end(),
      /answered 302 with nothing, not JSON/,
    ],
    [
      'JSON that is called HTML',
      (_, o) => o.writeHead(200, { 'content-type': 'text/html' }).end(JSON.stringify(vector([now(), '0']))),
      /not JSON/,
    ],
    [
      'half an answer',
      (_, o) => o.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"succ'),
      /answered with what is none/,
    ],
    ['no answer at all', (incoming) => incoming.socket.destroy(), /cannot be reached/],
    [
      'an answer that breaks off',
      (incoming, o) => {
        o.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"status"');
        setImmediate(() => incoming.socket.destroy());
      },
      /cannot be reached/,
    ],
    [
      'an error',
      json({ status: 'error', errorType: 'bad_data', error: 'parse error' }, 400),
      /answered 400: bad_data: parse error/,
    ],
    ['an error that is called a success', json(vector([now(), '0']), 503), /what is none/],
    ['success without data', json({ status: 'success' }), /what is none/],
    [
      'a matrix',
      json({ status: 'success', data: { resultType: 'matrix', result: [] } }),
      /a matrix, not with a vector/,
    ],
    ['a scalar', json({ status: 'success', data: { resultType: 'scalar', result: [now(), '0'] } }), /a scalar, not/],
    [
      'a vector that is none',
      json({ status: 'success', data: { resultType: 'vector', result: { a: 1 } } }),
      /what is none/,
    ],
    ['a number in place of its text', json(vector([now(), 0 as never])), /what is none/],
    ['an old answer', json(vector([now() - 60, '0'])), /answered for [\d.]+, not for/],
    ['an answer of tomorrow', json(vector([now() + 86_400, '0'])), /answered for/],
    ['more series than anybody needs', json(vector(...many)), /what is none/],
    [
      'a key that reaches a prototype',
      (_, o) => o.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"success","__proto__":{}}'),
      /what is none/,
    ],
  ];
  test.each(attacks)('attack: that answers %s is not believed', async (_, answer, reason) => {
    expect(await answered(answer)).toEqual({ kind: 'unknown', reason: expect.stringMatching(reason) });
  });

  test.each([
    ['NaN', NaN],
    ['+Inf', Infinity],
    ['-Inf', -Infinity],
    ['', NaN],
    ['0x10', NaN],
    ['1 ', NaN],
    ['null', NaN],
    ['-0.5', -0.5],
  ])('a sample %j is %d', async (text, value) => {
    expect(await answered(json(vector([now(), text])))).toMatchObject({ kind: 'series', series: [{ value }] });
  });

  test('attack: an answer without end is left where it is too much', async () => {
    let sent = 0;
    const endless: RequestListener = (_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      const more = (): void => {
        while (!outgoing.destroyed && outgoing.write('x'.repeat(65_536))) sent += 65_536;
        if (!outgoing.destroyed) outgoing.once('drain', more);
      };
      more();
    };
    expect(await answered(endless, 30_000)).toEqual({
      kind: 'unknown',
      reason: 'Prometheus answered with more than 1048576 bytes',
    });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test('attack: one that hangs, or trickles its answer, has its time', async () => {
    expect(await answered(() => undefined, 200)).toEqual({
      kind: 'unknown',
      reason: 'Prometheus did not answer within 200 ms',
    });
    server?.closeAllConnections();
    const trickle: RequestListener = (_, outgoing) => {
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => outgoing.write(' '), 20);
      outgoing.on('close', () => clearInterval(timer));
    };
    expect(await answered(trickle, 300)).toEqual({
      kind: 'unknown',
      reason: 'Prometheus did not answer within 300 ms',
    });
  });

  test('that is not there is not', async () => {
    expect(await createPrometheus({ url: 'http://127.0.0.1:9' }).ask('up')).toMatchObject({
      kind: 'unknown',
      reason: expect.stringMatching(/Prometheus cannot be reached: /),
    });
  });
});
