/**
 * The fault matrix: every activity of the contracts goes wrong in every way, the first time that it is called, and the story
 * that it is a part of is told to its end all the same. The activities are the real ones of all zones, wired as the workers wire
 * them, over one store in memory with a real audit log, a real vault, real gateways with callers, and model servers that are
 * processes; the workflows are the product's, in the time-skipping server, whose clock is not let to skip, because what is
 * real judges by real clocks. Not real is what needs a host or another company: the sandbox (scans run in this process, and
 * candidates without one), the training run (`examine`, `train`), mail and metrics.
 *
 * Throughout: whatever a gateway routes has a chain in the store that verifies from the pinned root; a kill stays until a quorum is
 * asked to lift it, and no caller is served meanwhile. At the end: the history has every attempt that a worker has seen; the log
 * verifies; and store, log, letters and gateways have exactly what they have of the same story without a fault: every effect
 * once. Certificates are unique over all stories.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTimeSkipping } from '../support/temporal.js';
import { ZONE_OF, type ActivityName } from '../support/zones.js';
import { Run } from './support/experiment.js';
import { FAULTS, type Fault } from './support/faults.js';
import { STORIES, type StoryName } from './support/lifecycles.js';
import { Stage } from './support/stage.js';
import { tell, type Told } from './support/story.js';

/** Each activity with the story in which it goes wrong. */
const MATRIX: Record<ActivityName, StoryName> = {
  declareConsumer: 'whole',
  wakeEndings: 'whole',
  resumeLifecycle: 'whole',
  admitRelease: 'whole',
  ingest: 'whole',
  validate: 'whole',
  record: 'whole',
  openDeployGate: 'whole',
  decide: 'whole',
  signRelease: 'whole',
  askEndpoint: 'whole',
  rolloutState: 'whole',
  resumeEndpoint: 'whole',
  resumeRollout: 'whole',
  startRelease: 'whole',
  routeStep: 'whole',
  watchStep: 'whole',
  noteVerdict: 'whole',
  openStepGate: 'whole',
  promoteRelease: 'whole',
  replyRollout: 'whole',
  watchService: 'whole',
  killEndpoint: 'whole',
  openRestoreGate: 'whole',
  restoreEndpoint: 'whole',
  checkRollback: 'whole',
  rollBack: 'whole',
  noteRollback: 'whole',
  noteRoute: 'whole',
  stopRelease: 'whole',
  openRetireGate: 'whole',
  giveNotice: 'whole',
  followNotice: 'whole',
  answerNotice: 'whole',
  withdrawRelease: 'whole',
  revokeRelease: 'whole',
  noteErasure: 'whole',
  destroyKeys: 'whole',
  probeHost: 'whole',
  probeGateways: 'whole',
  certify: 'whole',
  recordOutcome: 'whole',
  sortKills: 'flood',
  refuse: 'flood',
  condemnRelease: 'condemned',
  noteCondemned: 'condemned',
  informCondemned: 'condemned',
  revokeCondemned: 'condemned',
  openOverrideGate: 'overridden',
  proviso: 'overridden',
  renewOverride: 'overridden',
  openReviewGate: 'emergency',
  noteRejection: 'emergency',
  recordLapse: 'emergency',
  noteLapse: 'emergency',
  revertRelease: 'emergency',
  strayAlert: 'alerts',
  takeAlerts: 'alerts',
  noteAlerts: 'alerts',
  revertService: 'alerts',
  noteBreach: 'alerts',
  admitResign: 'papers',
  resignRelease: 'papers',
  recordResigned: 'papers',
  admitPromotion: 'papers',
  summariseRelease: 'papers',
  recordPromotion: 'papers',
  admitData: 'papers',
  takeData: 'papers',
  recordData: 'papers',
  admitHold: 'papers',
  holdRelease: 'papers',
  openLiftGate: 'papers',
  liftHolds: 'papers',
  recordLifted: 'papers',
  extendRecords: 'papers',
  extendLog: 'papers',
  extendReleases: 'papers',
  recordRetention: 'papers',
  applyPolicy: 'policy',
  openTrainingGate: 'training',
  examine: 'training',
  train: 'training',
  recordTraining: 'training',
  beginDrill: 'drill',
  drillStep: 'drill',
  recordDrill: 'drill',
  confirmKill: 'dark',
  confirmRoute: 'dark',
};

const run = new Run('faults');
const ROW_MS = 900_000;

let stage: Stage;
const certificates: string[] = [];
let attempts = 0;
let callers = 0;

beforeAll(async () => {
  stage = await Stage.start(startTimeSkipping);
});
afterAll(async () => {
  await stage?.stop();
  run.figure('attempts of activities', attempts, '');
  run.figure('answers to callers', callers, '');
});

const plain = new Map<StoryName, Promise<Told>>();
/** How a story goes without a fault: told once. */
const withoutFault = (name: StoryName): Promise<Told> => {
  const told = plain.get(name) ?? tell(stage, STORIES[name], null);
  plain.set(name, told);
  return told;
};

test('no activity of the contracts is left out', () => {
  expect(Object.keys(MATRIX).sort()).toEqual(Object.keys(ZONE_OF).sort());
});

describe.concurrent('without a fault', () => {
  for (const name of Object.keys(STORIES) as StoryName[])
    test(
      name,
      async () => {
        const told = await withoutFault(name);
        expect(told.broken).toEqual([]);
        const called = new Set(told.attempts.map((attempt) => attempt.name));
        const due = (Object.keys(MATRIX) as ActivityName[]).filter((activity) => MATRIX[activity] === name);
        expect(due.filter((activity) => !called.has(activity))).toEqual([]);
      },
      ROW_MS,
    );
});

describe.concurrent('with a fault', () => {
  for (const kind of Object.keys(FAULTS) as Fault[])
    for (const activity of Object.keys(MATRIX) as ActivityName[])
      run.fault(
        kind,
        activity,
        async () => {
          const story = MATRIX[activity];
          const { effects } = await withoutFault(story);
          const told = await tell(stage, STORIES[story], { activity, kind });
          attempts += told.attempts.length;
          callers += told.answers;
          expect(told.isStruck).toBe(true);
          expect(told.broken).toEqual([]);
          expect(told.effects).toEqual(effects);
          for (const certificate of told.certificates) expect(certificates).not.toContain(certificate);
          certificates.push(...told.certificates);
        },
        ROW_MS,
      );
});
