import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Release } from '../../support/world.js';
import { pidOf, Site, type Running } from './fixture.js';

/** It answers at once that it has begun, and ends when the request does. On SIGTERM it ends once nothing is under way. */
const SERVER = `
  import { createServer } from 'node:http';
  const server = createServer((incoming, outgoing) => {
    if (incoming.method === 'GET') return outgoing.end('{}');
    outgoing.write('begun');
    incoming.on('end', () => outgoing.end(', and whole')).resume();
  });
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ ready: true, port: server.address().port })));
  process.once('SIGTERM', () => {
    server.close();
    server.closeIdleConnections();
  });
`;

let site: Site;
let host: Running;
let release: Release;
let asked: ClientRequest;
let answer: IncomingMessage;

/** A release that is in the middle of an answer. */
beforeEach(async () => {
  site = await Site.open();
  release = await site.admit({ files: { 'serve.mjs': SERVER } });
  host = await site.begin();
  await host.start(release.name, release.release);
  const port = site.gateway.heard[0]?.predicate.port ?? 0;
  asked = request({ host: '127.0.0.1', port, method: 'POST', agent: false });
  asked.on('error', () => undefined);
  asked.flushHeaders();
  [answer] = (await once(asked, 'response')) as [IncomingMessage];
  await once(answer, 'readable');
});
afterEach(async () => {
  vi.useRealTimers();
  asked.destroy();
  await site.close();
});

const isRunning = async (): Promise<boolean> => (await pidOf(`${site.releases}/${release.release}`)) !== null;
/** Lets it be much later for whoever waits. */
function later(ms: number): void {
  vi.advanceTimersByTime(ms);
  vi.useRealTimers();
}

test('a release that is stopped finishes a long answer before it ends', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const stopped = host.stop(release.name, release.release);
  await expect.poll(() => site.copies()).toEqual([release.release]);
  await vi.waitFor(async () => expect(await refuses()).toBe(true));
  later(59_000);
  expect(await isRunning()).toBe(true);
  asked.end();
  const chunks: string[] = [];
  for await (const chunk of answer) chunks.push(String(chunk));
  expect([chunks.join(''), answer.complete]).toEqual(['begun, and whole', true]);
  await stopped;
  expect([await isRunning(), await site.copies()]).toEqual([false, []]);
});

test('one that never ends is cut off once the time is over', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const broken = once(answer.resume(), 'error');
  const stopped = host.stop(release.name, release.release);
  await vi.waitFor(async () => expect(await refuses()).toBe(true));
  later(61_000);
  await Promise.all([broken, stopped]);
  expect(await isRunning()).toBe(false);
});

test('attack: what is revoked while it finishes gets no more of that time', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const broken = once(answer.resume(), 'error');
  const stopped = host.stop(release.name, release.release);
  await vi.waitFor(async () => expect(await refuses()).toBe(true));
  await site.issueStatus({ version: Date.now() + 1, revoked: [release.release] });
  const taken = (): boolean => site.logged.some(({ message }) => message.includes('is revoked'));
  await vi.waitFor(() => expect(taken()).toBe(true), { timeout: 20_000 });
  later(11_000);
  await Promise.all([broken, stopped]);
  expect(await isRunning()).toBe(false);
});

/** Whether its server takes nothing new. */
function refuses(): Promise<boolean> {
  const port = site.gateway.heard[0]?.predicate.port ?? 0;
  const sent = request({ host: '127.0.0.1', port, agent: false });
  return new Promise((resolve) => {
    sent.on('error', () => resolve(true));
    sent.on('response', (incoming: IncomingMessage) => {
      incoming.resume();
      resolve(false);
    });
    sent.end();
  });
}
