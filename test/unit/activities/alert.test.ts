import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { createAlerts } from '../../../activities/alert.js';
import type { AlertsTaken } from '../../../activities/contract.js';
import type { Desk } from '../../../activities/control.js';
import type { AlertPredicate } from '../../../domain/alert.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { signPolicy } from '../../../formats/policy.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld, type Release, type Route, type Signed, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const MODEL = 'digits';

let world: World;
let rig: DeskRig;
let first: Release;
let second: Release;
let serving: readonly Route[];

beforeEach(async () => {
  world = createWorld();
  rig = await startDesk(world);
  first = world.release({ version: '1.0.0' });
  serving = world.inService(first);
  second = world.release({ version: '1.1.0', after: serving.at(-1)! });
  for (const route of serving) await rig.keep(route);
});

/** The second release gets its first callers. */
const beginRollout = async (): Promise<void> => void (await rig.keep(world.routePlan(serving.at(-1)!, second)));

let act = 0;
/** `id`: of the activity; attempts of one and the same have one and the same. */
function take(alerts: readonly unknown[], id = `act ${(act += 1)}`): Promise<AlertsTaken> {
  const { takeAlerts } = createAlerts(rig.desk);
  const decisions = alerts.map((envelope) => ({ message: 'securityAlert', envelope }));
  const environment = new MockActivityEnvironment({ activityId: id });
  return environment.run<[], AlertsTaken, () => Promise<AlertsTaken>>(() => takeAlerts(MODEL, decisions));
}
const inActivity = <T>(run: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment().run<[], T, () => Promise<T>>(run);
const refusedBecause = (): string[] =>
  rig.log.flatMap(({ change, reason }) => (change === 'message.refused' ? [reason] : []));
const code = ({ verdicts }: AlertsTaken): string =>
  verdicts.map((verdict) => (verdict.accepted ? 'accepted' : verdict.code)).join(' ');

describe('an alert that counts', () => {
  test('takes back what serves', async () => {
    const alert = world.alert();
    expect(await take([alert.envelope])).toEqual({
      verdicts: [{ accepted: true, by: 'siem', statement: alert.digest }],
      act: {
        kind: 'revert',
        release: first.release,
        reason: 'critical security alert of siem: it leaks its prompts',
        alerts: [alert.digest],
      },
      alarms: [],
    });
    expect(rig.log).toEqual([]);
  });

  test.each([
    ['about the model', () => ({})],
    ['about the new release by its version', () => ({ version: '1.1.0' })],
    ['about the new release by its digest', () => ({ release: second.release })],
  ])('%s ends the rollout under way', async (_, about) => {
    await beginRollout();
    const alert = world.alert('mona', about());
    const request = second.request.digest;
    expect((await take([alert.envelope])).act).toMatchObject({ kind: 'stop', release: second.release, request });
  });

  test('about the stable release while another is rolled out is an alarm', async () => {
    await beginRollout();
    const alert = world.alert('siem', { version: '1.0.0' });
    const { act: led, alarms } = await take([alert.envelope]);
    expect(led).toBeNull();
    expect(alarms).toEqual([
      {
        statement: alert.digest,
        release: first.release,
        reason: 'critical security alert of siem: it leaks its prompts',
      },
    ]);
  });

  test('and is only a warning changes nothing, and hides none that is more', async () => {
    const warning = world.alert('siem', { severity: 'warning' });
    const critical = world.alert('mona');
    const taken = await take([warning.envelope, critical.envelope, critical.envelope]);
    expect(code(taken)).toBe('accepted accepted accepted');
    expect(taken.act?.alerts).toEqual([critical.digest]);
    expect(taken.alarms.map(({ statement }) => statement)).toEqual([warning.digest]);
  });

  test('is kept, and audited with what followed, once', async () => {
    const alert = world.alert('siem', { version: '1.0.0' });
    await take([alert.envelope]);
    const { noteAlerts } = createAlerts(rig.desk);
    for (let again = 0; again < 2; again += 1)
      await new MockActivityEnvironment().run(() => noteAlerts(MODEL, [alert.digest], 'rolled back'));
    expect(new Set(rig.log.map(({ id }) => id)).size).toBe(1);
    expect(rig.log[0]).toMatchObject({
      change: 'alert.raised',
      actor: { id: 'siem', statement: alert.digest },
      subject: { model: MODEL, version: '1.0.0', release: null },
      reason: 'critical security alert of siem: it leaks its prompts; rolled back',
    });
  });

  test('counts also while a forgery lies in the place of the next policy', async () => {
    await rig.records.policies();
    const forged = signPolicy({ ...world.policy, version: 2 }, [world.keys.mallory]);
    await rig.put(storeKeys.policy(2), canonicalBytes(forged));
    expect(code(await take([world.alert().envelope]))).toBe('accepted');
  });
});

describe('an attempt again', () => {
  test('of the same activity has the same answer', async () => {
    const { envelope } = world.alert();
    expect(await take([envelope], 'one')).toEqual(await take([envelope], 'one'));
    expect(refusedBecause()).toEqual([]);
  });

  test('attack: the same bytes later are refused and audited, and so is another alert with their nonce', async () => {
    const { envelope, predicate } = world.alert();
    await take([envelope]);
    const second = await take([envelope, world.alert('mona', { nonce: predicate.nonce }).envelope]);
    expect(code(second)).toBe('REPLAYED REPLAYED');
    expect(second).toMatchObject({ act: null, alarms: [] });
    expect(refusedBecause()).toEqual([expect.stringMatching(/^2 × securityAlert .*REPLAYED: the nonce/)]);
  });
});

describe('attack: refused, in the audit log, and without effect:', () => {
  const said = (overrides: Partial<AlertPredicate>) => (): Signed<AlertPredicate> => world.alert('siem', overrides);
  const swapped = (): unknown => {
    const { envelope } = world.alert();
    const text = Buffer.from(envelope.payload, 'base64').toString().replace('leaks', 'likes');
    return { ...envelope, payload: Buffer.from(text).toString('base64') };
  };
  const ATTACKS: [string, () => Signed<AlertPredicate> | { readonly envelope: unknown }, string][] = [
    ['of an operator, who is no monitor', () => world.alert('oscar'), 'NOT_AUTHORISED'],
    ['of control', () => world.alert('control'), 'NOT_AUTHORISED'],
    ['of the api', () => world.alert('api'), 'NOT_AUTHORISED'],
    ['of a stranger', () => world.alert('mallory'), 'SIGNATURE_INVALID'],
    ['that was changed after it was signed', () => ({ envelope: swapped() }), 'SIGNATURE_INVALID'],
    ['of another environment', said({ environment: 'prod' }), 'REPLAYED'],
    ['about another model', said({ model: 'letters' }), 'REPLAYED'],
    [
      'that has expired',
      said({ issuedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-01T01:00:00.000Z' }),
      'EXPIRED',
    ],
    ['that is to come', () => world.alert('siem', { issuedAt: world.at(3600), expiresAt: world.at(7200) }), 'EXPIRED'],
    ['about a version that does not serve', said({ version: '9.9.9' }), 'POLICY_REFUSED'],
    ['about a digest that does not serve', said({ release: sha256('other') }), 'POLICY_REFUSED'],
    [
      'about one release by the version of another',
      () => world.alert('siem', { version: '1.0.0', release: second.release }),
      'POLICY_REFUSED',
    ],
    ['that is a kill order', () => world.kill('oscar'), 'MALFORMED'],
    ['that is a page', () => ({ envelope: '<html><script>alert(1)</script></html>' }), 'MALFORMED'],
  ];
  test.each(ATTACKS)('%s', async (_, made, expected) => {
    const taken = await take([made().envelope]);
    expect(code(taken)).toBe(expected);
    expect(taken).toMatchObject({ act: null, alarms: [] });
    expect(refusedBecause()).toEqual([expect.stringContaining(`1 × securityAlert`)]);
    expect(refusedBecause()[0]).toContain(expected);
    expect((await rig.router.current(MODEL))?.document.revision).toBe(serving.length);
  });

  test('about a release that is warm and has no callers', async () => {
    for (const route of world.inService(second, serving.at(-1))) await rig.keep(route);
    expect((await rig.router.current(MODEL))?.document.releases).toMatchObject([
      { weight: 100 },
      { version: '1.0.0', weight: 0 },
    ]);
    expect(code(await take([world.alert('siem', { version: '1.0.0' }).envelope]))).toBe('POLICY_REFUSED');
  });

  test('about a model without an endpoint, whoever sends it', async () => {
    const stray = (envelope: unknown) => inActivity(() => createAlerts(rig.desk).strayAlert('nobody', envelope));
    const cases: [unknown, string][] = [
      [world.alert('siem', { model: 'nobody' }).envelope, 'POLICY_REFUSED'],
      [world.alert('siem', { model: 'digits' }).envelope, 'REPLAYED'],
      [world.alert('oscar', { model: 'nobody' }).envelope, 'NOT_AUTHORISED'],
      [{ forged: true }, 'MALFORMED'],
    ];
    for (const [envelope, code] of cases) await expect(stray(envelope)).rejects.toMatchObject({ code });
    expect(rig.log.map(({ change, reason }) => [change, reason.split(': ')[1]])).toEqual(
      cases.map(([, code]) => ['message.refused', code]),
    );
  });

  test('about a model without an endpoint, but for one that serves all the same: that is started and gets it', async () => {
    const sent: unknown[] = [];
    const temporal = { workflow: { signalWithStart: async (...args: unknown[]) => void sent.push(args) } };
    const desk = { ...rig.desk, temporal } as unknown as Desk;
    const { envelope } = world.alert();
    await inActivity(() => createAlerts(desk).strayAlert('digits', envelope));
    expect(sent).toMatchObject([['endpoint', { workflowId: 'endpoint/digits', signalArgs: [envelope] }]]);
    expect(rig.log).toEqual([]);
  });

  test('about a model that has never served', async () => {
    rig = await startDesk(world);
    expect(code(await take([world.alert().envelope]))).toBe('POLICY_REFUSED');
    expect(refusedBecause()).toHaveLength(1);
  });

  test('a hundred of one kind are one record', async () => {
    await take(Array.from({ length: 100 }, () => world.alert('oscar').envelope));
    expect(refusedBecause()).toEqual([expect.stringMatching(/^100 × securityAlert/)]);
  });
});
