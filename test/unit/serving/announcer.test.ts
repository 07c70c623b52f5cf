import { expect, test } from 'vitest';
import { Announcer } from '../../../adapters/serving/announcer.js';
import type { LiveReplica } from '../../../adapters/serving/supervisor.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const release = (at: number): string => String(at).repeat(64);
const running: LiveReplica[] = [1, 2, 3].map((at) => ({
  model: `model-${at}`,
  version: '1.0.0',
  release: release(at),
  port: 4000 + at,
}));

function announcerTo(deliverReplica: (envelope: SignedEnvelope) => Promise<unknown>): Announcer {
  const live = async (one: string | null = null): Promise<LiveReplica[]> =>
    running.filter((replica) => one === null || replica.release === one);
  const records = { environment: world.environment } as never;
  const gateways = [{ isHere: true, deliverReplica }];
  return new Announcer({ records, key: world.keys.serving, log: quiet, gateways }, { live }, null);
}
const named = (envelope: SignedEnvelope): string =>
  verifyStatement(envelope, 'replica', keyRing(world.policy)).predicate.model;

test('a release that has just been started is announced alone, and all of them at the next turn', async () => {
  const heard: string[] = [];
  const announcer = announcerTo(async (envelope) => heard.push(named(envelope)));
  await (
    await announcer.announceOne(release(2))
  ).told;
  expect(heard).toEqual(['model-2']);
  await (
    await announcer.announce()
  ).told;
  expect(heard.slice(1).sort()).toEqual(['model-1', 'model-2', 'model-3']);
});

test('attack: a gateway that never answers to one turn does not keep from it what is started next', async () => {
  const heard: string[] = [];
  const announcer = announcerTo((envelope) => {
    heard.push(named(envelope));
    return heard.length <= 3 ? new Promise(() => undefined) : Promise.resolve();
  });
  await announcer.announce();
  await announcer.announce();
  expect(heard).toHaveLength(3);
  await (
    await announcer.announceOne(release(3))
  ).told;
  expect(heard.slice(3)).toEqual(['model-3']);
});

test('that a server has ended is told at once, for no time at all, after whatever was said of it', async () => {
  const heard: { readonly issuedAt: string; readonly expiresAt: string; readonly port: number }[] = [];
  const announcer = announcerTo(async (envelope) => {
    heard.push(verifyStatement(envelope, 'replica', keyRing(world.policy)).predicate);
  });
  const [replica] = running;
  if (replica === undefined) throw new Error('nothing runs');
  await (
    await announcer.announceOne(replica.release)
  ).told;
  await announcer.farewell(replica);
  const [first, last] = heard;
  expect(last).toMatchObject({ port: replica.port, expiresAt: last?.issuedAt });
  expect(Date.parse(last?.issuedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(first?.issuedAt ?? ''));
});
