import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createWorld, type Release, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, type ModelServer, type Rig } from './rig.js';

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let release: Release;
let server: ModelServer;

beforeEach(async () => {
  world = createWorld();
  rig = await startRig(world, cleanup);
  release = world.release();
  server = await rig.serve(release);
  await rig.inService(release);
});
afterEach(() => cleanup.run());

/** Everything that is answered to these bytes until the connection ends. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

const POST = 'POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n';
const HIDDEN = 'GET /v2/models/digits/hidden HTTP/1.1\r\nhost: x\r\n\r\n';

describe('attack: a request that two readers would end at two places', () => {
  test.each([
    ['both a length and chunks', `content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['two lengths', `content-length: 0\r\ncontent-length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
    ['two lengths in one line', `content-length: 0, ${HIDDEN.length}\r\n\r\n${HIDDEN}`],
    ['a length with a sign', `content-length: +${HIDDEN.length}\r\n\r\n${HIDDEN}`],
    ['a length below zero', `content-length: -1\r\n\r\n${HIDDEN}`],
    ['chunks that are not the last encoding', `transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['an encoding that nobody knows', `transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['a blank before the colon', `transfer-encoding : chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['a header over two lines', `transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['a line that ends in LF alone', `content-length: 0\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    ['a chunk with a bad size', `transfer-encoding: chunked\r\n\r\n0x0\r\n\r\n${HIDDEN}`],
    ['a zero byte in a header', `content-length: 0\r\nx: a\0b\r\n\r\n${HIDDEN}`],
  ])('%s', async (_, text) => {
    const answer = await raw(rig.port, POST + text);
    expect(answer).toMatch(/^HTTP\/1\.1 (400|501) /);
    expect(server.requests.map(({ url }) => url)).not.toContain('/v2/models/digits/hidden');
    expect((await rig.model()).counters.at(-1)).toMatchObject({ failures: 0 });
    expect((await ask(rig.port)).status).toBe(200);
  });

  test('what follows a whole request in the same bytes is a request of its own, with its own answer', async () => {
    const answer = await raw(
      rig.port,
      `POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}GET /v2/models/other HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404']);
    expect(server.requests).toHaveLength(1);
  });
});

describe('attack: a request that is no request', () => {
  test.each([
    ['without a host', 'GET /v2/models/digits HTTP/1.1\r\n\r\n'],
    ['of a tunnel', 'CONNECT digits:80 HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['in another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['in TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('%s', async (_, text) => {
    expect(await raw(rig.port, text)).toMatch(/^$|^HTTP\/1\.1 40[05] /);
    expect(server.requests).toHaveLength(0);
  });

  test('to go over to another protocol is answered as if it had not asked for that', async () => {
    const answer = await raw(
      rig.port,
      'GET /v2/models/digits HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n',
    );
    expect(answer).toContain('HTTP/1.1 200 OK');
    expect(server.requests[0]?.headers.upgrade).toBeUndefined();
  });
});

describe('attack: a replica that is hostile', () => {
  /** A release whose replica sends these bytes, whatever it is asked. */
  async function answering(text: string): Promise<string> {
    const hostile = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(text));
    });
    hostile.listen(0, '127.0.0.1');
    await once(hostile, 'listening');
    cleanup.add(() => hostile.close());
    const alone = await startRig(world, cleanup);
    await alone.client.deliverPolicies([world.policyEnvelope]);
    const { port } = hostile.address() as AddressInfo;
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    await alone.client.deliverReplica(world.replica(release, { port, expiresAt }).envelope);
    await alone.inService(release);
    const answer = await raw(alone.port, `${POST}content-length: 2\r\n\r\n{}`);
    expect((await alone.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 1 });
    return answer;
  }

  test.each([
    ['answers in another protocol', 'SSH-2.0-OpenSSH_9\r\n'],
    ['says two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x'],
    ['says a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['goes over to another protocol', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
    ['has a header too large', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['says nothing', ''],
  ])('%s: 502', async (_, text) => {
    expect(await answering(text)).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('calls what the gateway says of it a matter of this hop alone: callers are told which release has answered', async () => {
    server.behave((_, outgoing) => {
      outgoing.writeHead(200, { connection: 'x-custody-release, x-custody-release-version, x-own', 'x-own': '1' });
      outgoing.end('{}');
    });
    const { headers } = await ask(rig.port);
    expect(headers).toMatchObject({ 'x-custody-release': release.release, 'x-custody-release-version': '1.0.0' });
    expect(headers['x-own']).toBeUndefined();
  });

  test('says less than it announced: the connection breaks off, as nobody must take it for whole', async () => {
    const answer = await answering('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
    expect(answer).toContain('content-length: 10');
    expect(answer.endsWith('abc')).toBe(true);
  });
});
