import { afterEach, beforeEach, expect, test } from 'vitest';
import { DRILL_ORDER_SECONDS, drilledBack, returned } from '../../../domain/drill.js';
import { restored } from '../../../domain/routing.js';
import type { KillPredicate } from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { createWorld, withDrills, type KeyName, type Route, type Signed, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, type Rig } from './rig.js';

/** What a drill does to a real gateway, and what nobody does who only has its key, or control's. */
const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let serving: Route;

async function start(policy = withDrills()): Promise<void> {
  world = createWorld({ policy });
  rig = await startRig(world, cleanup);
  const first = world.release({ version: '1.0.0' });
  await rig.serve(first);
  const steady = await rig.inService(first);
  const second = world.release({ version: '1.1.0', after: steady });
  await rig.serve(second);
  const chain = world.inService(second, steady);
  await rig.deliver(...chain);
  serving = chain.at(-1)!;
}
beforeEach(() => start());
afterEach(() => cleanup.run());

const served = async (): Promise<unknown> => {
  const { status, headers } = await ask(rig.port);
  return status === 200 ? headers['x-custody-release-version'] : status;
};

function goBack(): Route {
  const intent = drilledBack(serving.document, world.rollbackOrder('driller').digest) ?? expect.fail('nothing');
  return world.route(serving, intent, 'digits');
}

function lift(current: Route, kill: Signed<KillPredicate>, by: KeyName = 'driller'): Route {
  const issuedAt = world.at(0);
  const times = { issuedAt, expiresAt: plusSeconds(issuedAt, DRILL_ORDER_SECONDS) };
  const request = world.restoreRequest(current, [kill.digest], { requester: by, ...times }, by);
  const orders = [{ order: kill.digest, until: kill.predicate.expiresAt }];
  const intent = {
    ...restored(current.document, orders, request.digest, world.at(0)),
    releases: returned(current.document),
  };
  return world.route(current, intent, 'digits', { request, kills: [kill] });
}

test('a drill goes back, stops and comes back', async () => {
  expect(await served()).toBe('1.1.0');
  const back = goBack();
  await rig.deliver(back);
  expect(await served()).toBe('1.0.0');
  const kill = world.kill('driller');
  await rig.client.deliverKill(kill.envelope);
  expect(await served()).toBe(503);
  await rig.deliver(lift(back, kill));
  expect(await served()).toBe('1.1.0');
  await expect(rig.client.deliverKill(kill.envelope)).rejects.toMatchObject({ code: 'REPLAYED' });
});

test('attack: its order to stop another model is refused, and so is one where nothing is drilled', async () => {
  const other = world.kill('driller', { model: 'letters' });
  await expect(rig.client.deliverKill(other.envelope)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  await cleanup.run();
  await start(withDrills({ model: 'letters' }));
  await expect(rig.client.deliverKill(world.kill('driller').envelope)).rejects.toMatchObject({
    code: 'NOT_AUTHORISED',
  });
  await expect(rig.deliver(goBack())).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  expect(await served()).toBe('1.1.0');
});

test.each(['oscar', 'control'] as const)('attack: what %s has stopped stays, whatever a drill asks', async (by) => {
  const kill = world.kill(by);
  await rig.client.deliverKill(kill.envelope);
  await expect(rig.deliver(lift(serving, kill))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  expect(await served()).toBe(503);
});

test("attack: a drill's kill is not lifted while a person's stands beside it", async () => {
  const own = world.kill('driller');
  for (const { envelope } of [own, world.kill('oscar')]) await rig.client.deliverKill(envelope);
  await rig.deliver(lift(serving, own));
  expect(await served()).toBe(503);
});

test("attack: control alone lifts no kill of a drill, and neither does a person's name", async () => {
  const own = world.kill('driller');
  await rig.client.deliverKill(own.envelope);
  for (const by of ['control', 'oscar'] as const)
    await expect(rig.deliver(lift(serving, own, by))).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  expect(await served()).toBe(503);
});
