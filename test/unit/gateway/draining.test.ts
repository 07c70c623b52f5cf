import { once } from 'node:events';
import { Agent, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Limits } from '../../../gateway/limits.js';
import { createWorld, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, type ModelServer, type Rig } from './rig.js';

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let server: ModelServer;

async function prepare(limits: Partial<Limits> = {}): Promise<void> {
  world = createWorld();
  rig = await startRig(world, cleanup, { limits });
  const release = world.release();
  server = await rig.serve(release);
  await rig.inService(release);
}
afterEach(() => cleanup.run());

/** An answer under way at the replica, and how the caller has it. */
async function underWay(agent: Agent): Promise<{ replica: ServerResponse; answer: Promise<IncomingMessage> }> {
  const begun = new Promise<ServerResponse>((resolve) => server.behave((_, outgoing) => resolve(outgoing)));
  const sent = request({ host: '127.0.0.1', port: rig.port, path: '/v2/models/digits', agent }).end();
  const answer = once(sent, 'response').then(([incoming]) => incoming as IncomingMessage);
  answer.catch(() => undefined);
  return { replica: await begun, answer };
}

const agent = (): Agent => {
  const made = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanup.add(() => made.destroy());
  return made;
};

describe('a gateway that is to stop', () => {
  beforeEach(() => prepare());

  test('is not ready any more, though well, and says to each connection that it ends with its answer', async () => {
    expect(await rig.probe('/readyz')).toEqual([200, { ready: true }]);
    const { replica, answer } = await underWay(agent());
    rig.drain();
    expect((await rig.probe('/readyz'))[0]).toBe(503);
    expect(await rig.probe('/healthz')).toEqual([200, { ok: true }]);
    replica.end('whole');
    const late = await answer;
    expect(late.headers.connection).toBe('close');
    await once(late.resume(), 'end');
    expect(late.complete).toBe(true);
    expect((await ask(rig.port, { path: '/' })).headers.connection).toBe('close');
  });

  test('lets a stream end, takes no new connection, and a kill still ends what is under way', async () => {
    const { replica, answer } = await underWay(agent());
    replica.write('data: 1\n\n');
    const stream = await answer;
    await once(stream, 'data');
    rig.drain();
    const closed = rig.closePlane();
    await expect.poll(() => refused(rig.port)).toBe(true);
    const next = once(stream, 'data');
    replica.write('data: 2\n\n');
    expect(String((await next)[0])).toBe('data: 2\n\n');
    const broken = once(stream.resume(), 'error');
    await rig.client.deliverKill(world.kill().envelope);
    await broken;
    await closed;
  });
});

test('what has not ended by the time that the limits give is cut off', async () => {
  await prepare({ drainMs: 300 });
  const { replica, answer } = await underWay(agent());
  replica.write('data: 1\n\n');
  const broken = once((await answer).resume(), 'error');
  rig.drain();
  await rig.closePlane();
  await broken;
});

describe('a gateway before it can serve', () => {
  test('is well and not ready, until it has a policy and a fresh status document', async () => {
    world = createWorld();
    rig = await startRig(world, cleanup);
    expect((await rig.probe('/healthz'))[0]).toBe(200);
    expect(await rig.probe('/readyz')).toEqual([503, expect.objectContaining({ code: 'PENDING' })]);
    await rig.client.deliverPolicies([world.policyEnvelope]);
    expect(await rig.probe('/readyz')).toEqual([
      503,
      expect.objectContaining({ message: expect.stringContaining('status') }),
    ]);
    await rig.client.deliverStatus(world.status().envelope);
    expect((await rig.probe('/readyz'))[0]).toBe(200);
  });
});

describe('limits of connections', () => {
  test('one more than may be open is closed at once', async () => {
    await prepare({ maxConnections: 2 });
    const open = [connect(rig.port, '127.0.0.1'), connect(rig.port, '127.0.0.1')];
    for (const socket of open) {
      cleanup.add(() => socket.destroy());
      await once(socket, 'connect');
    }
    await expect.poll(() => refused(rig.port)).toBe(true);
    open[0]?.destroy();
    await expect.poll(() => refused(rig.port)).toBe(false);
  });

  test('one is closed with its last answer', async () => {
    await prepare({ maxRequestsPerConnection: 2 });
    const own = agent();
    const connections: (string | undefined)[] = [];
    for (let at = 0; at < 3; at += 1) {
      const sent = request({ host: '127.0.0.1', port: rig.port, path: '/v2/models/digits', agent: own }).end();
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      connections.push(answer.headers.connection);
      await once(answer.resume(), 'end');
      expect(answer.statusCode).toBe(200);
    }
    expect(connections).toEqual(['keep-alive', 'close', 'keep-alive']);
  });

  test('a caller who takes nothing of its answer is dropped, and no fault of the release', async () => {
    await prepare({ silenceMs: 300 });
    const closed = new Promise<void>((resolve) =>
      server.behave((_, outgoing) => {
        outgoing.on('close', resolve).on('error', () => undefined);
        outgoing.end(Buffer.alloc(64 * 2 ** 20));
      }),
    );
    const sent = request({ host: '127.0.0.1', port: rig.port, path: '/v2/models/digits' }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    answer.pause();
    answer.on('error', () => undefined);
    await closed;
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 1, failures: 0 });
  });
});

/** Whether a connection ends before anything is answered. */
function refused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  return new Promise((resolve) => {
    socket.on('error', () => undefined).on('close', () => resolve(true));
    socket.on('data', () => {
      resolve(false);
      socket.destroy();
    });
  });
}
