import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { createAdmission } from '../../../activities/admit.js';
import type { Desk } from '../../../activities/control.js';
import { createGates } from '../../../activities/gate.js';
import { Journal } from '../../../activities/journal.js';
import { Router } from '../../../activities/router.js';
import { progressOf } from '../../../adapters/dossier.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type { Progress } from '../../../domain/lifecycle.js';
import { lifecycleId } from '../../../domain/names.js';
import type { PlanStep, RequestAction } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { recordsOf } from '../serving/fixture.js';
import { createWorld, type Release, type Route } from '../../support/world.js';

const world = createWorld();
const { steps } = world.policy.rollout;
const last = steps.at(-1) as PlanStep;
const SLOWER: readonly PlanStep[] = [{ weight: 1, bakeSeconds: 60, pause: true }, ...steps];
const stable = world.release({ version: '1.0.0' });
const chain = world.inService(stable);

let records: Records;
let log: AuditRecord[];
let desk: Desk;

beforeEach(async () => {
  records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  log = [];
  const audit = { append: async (added: AuditRecord[]) => void log.push(...added) };
  const control = { records, key: world.keys.control, id: 'control', audit, gateways: [] };
  const router = new Router({ ...control, onJunk: () => undefined });
  desk = { ...control, router, journal: new Journal(audit) } as unknown as Desk;
});

const inActivity = <T>(name: Release['name'], act: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment({ workflowExecution: { workflowId: lifecycleId(name), runId: 'run-1' } }).run(act);
const asking = (plan: readonly PlanStep[], version = '1.1.0'): Release => {
  const usual = world.release({ version }).admission.predicate.action as Extract<RequestAction, { kind: 'release' }>;
  return world.release({ version, admission: { action: { ...usual, plan } } });
};
const admit = ({ name, admission }: Release) =>
  inActivity(name, () => createAdmission(desk).admitRelease(name, admission.envelope, null));

/** The plan that people are asked to approve for a release that has been validated. */
async function planAsked(release: Release, serving: readonly Route[]): Promise<readonly PlanStep[]> {
  for (const { document, envelope } of serving)
    await records.keep(envelope, storeKeys.route(document.model, document.revision));
  for (const [key, bytes] of recordsOf(release)) await records.bucket.createOnce(key, bytes);
  const { admission, ingested, validated } = await progressOf(records, release.name);
  const progress = {
    admission: { ...admission, requester: 'ci' },
    ingested: { ...ingested, producer: 'trainer' },
    validated,
  } as Progress;
  const { request } = await inActivity(release.name, () => createGates(desk).openDeployGate(release.name, progress));
  const { action } = (await records.get('request', request)).verified.predicate;
  return action.kind === 'deploy' ? action.plan : [];
}

describe("a plan of a release's own", () => {
  test('is what people are asked to approve', async () => {
    expect(await planAsked(asking(SLOWER), chain)).toEqual(SLOWER);
  });

  test('of a first release is its last step', async () => {
    const slow = [...steps.slice(0, -1), { ...last, bakeSeconds: 99 }];
    expect(await planAsked(asking(slow), [])).toEqual([{ weight: 100, bakeSeconds: 99 }]);
  });

  test("attack: one that is weaker than the policy's is refused at the door, with the reason, and in the log", async () => {
    const weaker = asking(steps.slice(1));
    await expect(admit(weaker)).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringContaining('it leaves out the step to 10 %') as string,
    });
    expect(log.map(({ change }) => change)).toEqual(['message.refused']);
    expect(await progressOf(records, weaker.name)).toEqual({});
  });

  test('attack: one that is weaker is not asked about either, had the door let it pass', async () => {
    await expect(planAsked(asking([last]), chain)).rejects.toMatchObject({ code: 'POLICY_REFUSED' });
  });

  test('one that could not come to its end in time is refused', async () => {
    const { deployWithinSeconds } = world.policy.rollout;
    await expect(admit(asking([{ weight: 1, bakeSeconds: deployWithinSeconds }, ...steps]))).rejects.toMatchObject({
      code: 'POLICY_REFUSED',
      message: expect.stringContaining('its last step') as string,
    });
  });

  test.each([
    ['goes down', [steps[1], steps[0], last]],
    ['ends below 100', steps.slice(0, -1)],
    ['begins with nobody', [{ weight: 0, bakeSeconds: 1 }, ...steps]],
  ] as [string, PlanStep[]][])('attack: one that %s is no request at all', async (_, plan) => {
    await expect(admit(asking(plan))).rejects.toMatchObject({ code: 'MALFORMED' });
  });
});
