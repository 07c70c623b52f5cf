import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../../formats/sha256.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, type ModelServer, type Rig } from './rig.js';

const TOKEN = 'a-token-that-nobody-else-has-0123456789';
const ASKING = { authorization: `Bearer ${TOKEN}`, 'x-custody-preview': '1.1.0' };
const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let fresh: Release;
let server: ModelServer;
let steady: Route;
let preview: Route;

/** 1.0.0 serves, 1.1.0 is in preview, and checkout is a declared consumer. */
beforeEach(async () => {
  const steps = [
    { weight: 0, bakeSeconds: 0.001 },
    { weight: 100, bakeSeconds: 0.001 },
  ];
  world = createWorld({
    policy: (policy) => ({ ...policy, rollout: { ...policy.rollout, strategy: 'blue-green', steps } }),
  });
  rig = await startRig(world, cleanup);
  const stable = world.release({ version: '1.0.0' });
  await rig.serve(stable);
  steady = await rig.inService(stable);
  fresh = world.release({ version: '1.1.0', after: steady });
  server = await rig.serve(fresh);
  preview = world.routePlan(steady, fresh);
  await rig.deliver(preview);
  const declared = world.consumer({ identities: [{ kind: 'token', sha256: sha256(TOKEN) }] });
  expect((await rig.client.deliverConsumers([declared.envelope])).refused).toEqual([]);
});
afterEach(() => cleanup.run());

const served = async (headers: Record<string, string> = {}, caller?: string): Promise<unknown> =>
  (await ask(rig.port, { headers, ...(caller === undefined ? {} : { caller }) })).headers['x-custody-release-version'];
const ordinary = async (): Promise<Set<unknown>> => {
  const names = Array.from({ length: 60 }, (_, at) => `caller-${at}`);
  return new Set(await Promise.all(names.map((name) => served({}, name))));
};

describe('a release in preview', () => {
  test('answers the declared consumer who asks for it, and nobody else; then all callers in one switch', async () => {
    expect(await served(ASKING)).toBe('1.1.0');
    expect(await ordinary()).toEqual(new Set(['1.0.0']));
    expect(await served({ authorization: ASKING.authorization })).toBe('1.0.0');
    const switched = world.routePlan(preview, fresh, { step: 1 });
    await expect.poll(() => rig.deliver(switched).then(() => 'admitted', String)).toBe('admitted');
    expect(await ordinary()).toEqual(new Set(['1.1.0']));
    expect((await rig.model()).serving).toMatchObject([{ version: '1.1.0' }, { version: '1.0.0', weight: 0 }]);
  });

  const attacks: [string, Record<string, string>][] = [
    ['who says so', { 'x-custody-preview': '1.1.0', 'x-custody-caller': 'checkout' }],
    ['with a token of nobody', { ...ASKING, authorization: 'Bearer another-token-that-nobody-knows-98765' }],
    ['without a name', { 'x-custody-preview': '1.1.0' }],
    ['who asks for another version', { ...ASKING, 'x-custody-preview': '1.2.0' }],
    ['who asks for any', { ...ASKING, 'x-custody-preview': '*' }],
    ['who asks for none', { ...ASKING, 'x-custody-preview': '' }],
  ];
  test.each(attacks)('attack: a caller %s is answered by the stable release', async (_, headers) => {
    expect(await served(headers)).toBe('1.0.0');
    expect(server.requests).toHaveLength(0);
  });

  test('attack: a consumer of another model gets no preview of this one', async () => {
    const sequence = {
      sequence: 2,
      models: ['lingo'],
      identities: [{ kind: 'token', sha256: sha256(TOKEN) }] as const,
    };
    await rig.client.deliverConsumers([world.consumer(sequence).envelope]);
    expect(await served(ASKING)).toBe('1.0.0');
  });

  test('that breaks a limit is left by those who tried it, and no other caller has seen it', async () => {
    server.behave((_incoming, outgoing) => outgoing.writeHead(500).end());
    const tried: unknown[] = [];
    for (let at = 0; at < 20; at += 1) tried.push(await served(ASKING));
    expect(new Set(tried)).toEqual(new Set(['1.1.0']));
    expect((await rig.model()).breach).toMatchObject({ release: fresh.release });
    expect(await served(ASKING)).toBe('1.0.0');
    expect(await ordinary()).toEqual(new Set(['1.0.0']));
    await expect(rig.deliver(world.routePlan(preview, fresh, { step: 1 }))).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
    });
    await rig.deliver(world.rollback(preview));
    expect((await rig.model()).serving).toMatchObject([{ version: '1.0.0', weight: 100 }]);
  });

  test('is killed with the endpoint', async () => {
    await rig.client.deliverKill(world.kill('oscar').envelope);
    expect((await ask(rig.port, { headers: ASKING })).status).toBe(503);
    expect((await ask(rig.port)).status).toBe(503);
  });

  test('attack: a document that gives a preview some callers, or goes past it, is refused', () => {
    const few = preview.document.releases.map((entry, at) => ({ ...entry, weight: at === 0 ? 1 : 99 }));
    const all = preview.document.releases.map((entry, at) => ({ ...entry, weight: at === 0 ? 100 : 0 }));
    for (const releases of [few, all]) {
      const forged = world.routePlan(steady, fresh, { document: { releases } });
      expect(verdictsOf(world).route(steady, forged.delivery)).toEqual(
        denial('POLICY_REFUSED', /not what a plan makes/),
      );
    }
  });
});
