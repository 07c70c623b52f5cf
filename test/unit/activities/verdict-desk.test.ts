import { MockActivityEnvironment } from '@temporalio/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { createVerdictDesk } from '../../../activities/verdict-desk.js';
import type { StepVerdict } from '../../../domain/endpoint.js';
import type { UnnotedVerdict } from '../../../domain/step-verdict.js';
import { createWorld, type Release, type Route, type World } from '../../support/world.js';
import { startDesk, type DeskRig } from './rig.js';

const MODEL = 'digits';

let world: World;
let rig: DeskRig;
let canary: Release;
let steady: Route;
let step: Route;

beforeEach(async () => {
  world = createWorld();
  rig = await startDesk(world);
  const chain = world.inService(world.release({ version: '1.0.0' }));
  steady = chain.at(-1)!;
  canary = world.release({ version: '1.1.0', after: steady });
  step = world.routePlan(steady, canary);
  for (const route of [...chain, step]) await rig.keep(route);
});

function note(verdict: StepVerdict, at = 0): Promise<void> {
  const { noteVerdict } = createVerdictDesk({ ...rig.desk, key: world.keys.control });
  const judged: UnnotedVerdict = { verdict, watchedSince: world.at(at - 60), reachedAt: world.at(at) };
  return new MockActivityEnvironment().run<[], void, () => Promise<void>>(() => noteVerdict(MODEL, judged));
}
const statements = () =>
  Promise.all(rig.log.map(({ after }) => rig.records.get('stepVerdict', after ?? '').then(({ verified }) => verified)));

function failed(): StepVerdict {
  const counts = {
    [canary.release]: { requests: 20, failures: 7, slow: 1 },
    [steady.document.releases[0]!.release]: { requests: 180, failures: 2, slow: 0 },
  };
  return { kind: 'fail', revision: step.document.revision, reason: '7 of 20 answers failed', counts };
}

describe('the verdict on a step', () => {
  test('is kept with what callers got of each release, and is in the log, once however often it is told', async () => {
    await note(failed());
    await note(failed());
    expect(rig.log).toMatchObject([
      {
        change: 'rollout.judged',
        subject: { ...canary.name, release: canary.release },
        before: step.digest,
        time: world.at(0),
        reason: 'step 1: fail: 7 of 20 answers failed (20 answers, 7 failed, 1 slow)',
      },
    ]);
    expect(await statements()).toMatchObject([
      {
        subject: canary.release,
        signers: ['control'],
        predicate: {
          ...{ document: step.digest, verdict: 'fail', reason: '7 of 20 answers failed', issuedAt: world.at(0) },
          counts: [
            { version: '1.1.0', requests: 20, failures: 7, slow: 1 },
            { version: '1.0.0', requests: 180, failures: 2, slow: 0 },
          ],
        },
      },
    ]);
  });

  test('is one of two where a step that pauses fails after it had passed', async () => {
    await note({ kind: 'pass', revision: step.document.revision, samples: 20 });
    await note(failed(), 30);
    expect(rig.log.map(({ reason }) => reason.slice(0, 12))).toEqual(['step 1: pass', 'step 1: fail']);
  });

  test('attack: is refused of a document that is no step, and of none at all', async () => {
    await expect(note({ ...failed(), revision: steady.document.revision })).rejects.toMatchObject({ code: 'REPLAYED' });
    await expect(note({ ...failed(), revision: 99 })).rejects.toBeDefined();
    expect(rig.log).toEqual([]);
  });
});
