import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { targetOf } from '../../../gateway/target.js';
import { createWorld, type Release, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, type ModelServer, type Rig } from './rig.js';

const CHAT = '/digits/v1/chat/completions';
const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let release: Release;
let server: ModelServer;

async function prepare(): Promise<void> {
  world = createWorld();
  rig = await startRig(world, cleanup);
  release = world.release();
  server = await rig.serve(release);
  await rig.inService(release);
}
afterEach(() => cleanup.run());

describe('the path says which model is asked', () => {
  test.each([
    ['/digits/v1/chat/completions', 'digits', '/v1/chat/completions'],
    ['/digits/v1/models', 'digits', '/v1/models'],
    ['/digits/v1/models/digits?x=%2e%2e', 'digits', '/v1/models/digits?x=%2e%2e'],
    ['/v2/v1/models', 'v2', '/v1/models'],
    ['/v2/models/digits', 'digits', '/v2/models/digits'],
    ['/v2/models/digits/versions/1.0.0/infer', 'digits', '/v2/models/digits/versions/1.0.0/infer'],
    ['/v2/models/digits?a=1', 'digits', '/v2/models/digits?a=1'],
  ])('%s', (url, model, path) => {
    expect(targetOf(url)).toEqual({ model, path });
  });

  test.each([
    '/v1/chat/completions',
    '/v1/models',
    '/digits/v1',
    '/digits/v1/',
    '/digits/v2/models/other/infer',
    '/Digits/v1/models',
    '//digits/v1/models',
    '/digits//v1/models',
    '/digits/v1//models',
    '/digits/v1/../../other/v1/models',
    '/digits/v1/..',
    '/digits/v1/%2e%2e/admin',
    '/digits/v1/.hidden',
    '/digits/v1/a\\b',
    '/digits/v1/models;x=1',
    '/digits/v1/models#x',
    '/v2/models/digits/../other/infer',
    '/v2/models/digits/%2e%2e/other/infer',
    '/v2/models/digits//infer',
    'http://other/v2/models/digits/infer',
    '*',
    '',
  ])('attack: %s is no path of a model', (url) => {
    expect(targetOf(url)).toBeNull();
  });

  test("attack: no body says which model, however it names one; and OpenAI's own path tells the right one", async () => {
    await prepare();
    const body = '{"model":"other","messages":[],"model":"digits"}';
    const own = await ask(rig.port, { path: '/v1/chat/completions', body });
    expect([own.status, own.body]).toEqual([404, expect.stringContaining('/<model>/v1/chat/completions')]);
    expect((await ask(rig.port, { path: '/other/v1/chat/completions', body })).status).toBe(404);
    expect(server.requests).toHaveLength(0);
    expect((await ask(rig.port, { path: CHAT, body })).headers['x-custody-release']).toBe(release.release);
    expect(server.requests[0]).toMatchObject({ url: '/v1/chat/completions', bytes: body.length });
  });
});

describe('a streamed answer', () => {
  beforeEach(prepare);
  /** The replica's answer, begun, and what the caller has of it. */
  async function stream(): Promise<{ replica: ServerResponse; answer: IncomingMessage }> {
    const begun = new Promise<ServerResponse>((resolve) =>
      server.behave((incoming, outgoing) => {
        incoming.resume();
        outgoing.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
        outgoing.flushHeaders();
        resolve(outgoing);
      }),
    );
    const sent = request({ host: '127.0.0.1', port: rig.port, method: 'POST', path: CHAT });
    sent.end('{"model":"digits","stream":true}');
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return { replica: await begun, answer };
  }

  test('is passed on event by event, and its headers before the first', async () => {
    const { replica, answer } = await stream();
    expect(answer.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'x-custody-release': release.release,
    });
    for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: [DONE]\n\n']) {
      const next = once(answer, 'data');
      replica.write(event);
      expect(String((await next)[0])).toBe(event);
    }
    replica.end();
    await once(answer.resume(), 'end');
    expect(answer.complete).toBe(true);
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 0 });
  });

  test('ends in the middle by a kill, which counts for nothing, and the replica is told', async () => {
    const { replica, answer } = await stream();
    const first = once(answer, 'data');
    replica.write('data: 1\n\n');
    await first;
    const broken = once(answer.resume(), 'error');
    const told = once(replica, 'close');
    await rig.client.deliverKill(world.kill().envelope);
    await broken;
    await told;
    expect(answer.complete).toBe(false);
    expect((await ask(rig.port, { path: CHAT })).status).toBe(503);
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 0 });
  });

  test('attack: a caller who does not read holds the replica back, not the answer in memory', async () => {
    const { replica, answer } = await stream();
    answer.pause();
    const whole = 64 * 2 ** 20;
    let sent = 0;
    const blocks = function* (): Generator<Buffer> {
      for (; sent < whole; sent += 2 ** 16) yield Buffer.alloc(2 ** 16);
    };
    const sending = pipeline(blocks, replica);
    let before = -1;
    const hasMoved = (): boolean => {
      const moved = sent !== before;
      before = sent;
      return moved;
    };
    await expect.poll(hasMoved, { interval: 300 }).toBe(false);
    expect(sent).toBeLessThan(whole / 2);
    let taken = 0;
    answer.on('data', (chunk: Buffer) => (taken += chunk.length)).resume();
    await sending;
    await once(answer, 'end');
    expect(taken).toBe(whole);
  });
});
