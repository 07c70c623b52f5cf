import type { RetentionControl, KeepingActivities } from '../activities/keeping-contract.js';
import { addTallies, addTrouble, NOTHING_YET, type LockTally, type RetentionPredicate } from '../domain/retention.js';
import { shortWorkflow } from './short.js';
import { zone } from './zone.js';
import { failureOf } from './failures.js';

// Every pass tells how far it has come, and a new attempt goes on from there. What has not ended by the next run is a trouble.
const pass = {
  startToCloseTimeout: '12 hours',
  scheduleToCloseTimeout: '20 hours',
  heartbeatTimeout: '15 seconds',
  retry: { initialInterval: '500ms', maximumInterval: '1 minute' },
} as const;

const control = zone<RetentionControl>(
  { taskQueue: 'control', ...pass },
  {
    extendRecords: () => 'extends the locks of records and statements',
    extendLog: () => 'extends the locks of the audit log',
    recordRetention: ({ troubled }) => `records what was found: ${troubled} troubles`,
  },
);

const signing = zone<Pick<KeepingActivities, 'extendReleases'>>(
  { taskQueue: 'signing', ...pass },
  { extendReleases: () => 'extends the locks of releases that serve, are held, or have ended lately' },
);

export type RetentionOutcome = { readonly kind: 'kept' | 'troubled' } & RetentionPredicate;

/**
 * One daily run: everything that must stay is locked for longer. It is a schedule's, and takes no argument; whoever starts it
 * besides can only make locks longer. However much there is, it is a few events.
 */
export async function retention(): Promise<RetentionOutcome> {
  const what = { model: null, version: null, title: 'locks are extended' };
  return shortWorkflow(what, 'extend', run, ({ checked, extended, earliest, troubles }) => ({
    facts: [
      ['Looked at', String(checked)],
      ['Extended', String(extended)],
      ['The first lock ends', earliest ?? 'nothing is kept'],
    ],
    trouble: troubles,
  }));
}

async function run(): Promise<RetentionOutcome> {
  const startedAt = new Date().toISOString();
  // At the same time: a zone that is down keeps no other's locks from being extended.
  const passes = await Promise.all([
    passed('releases', signing.extendReleases()),
    passed('records', control.extendRecords()),
    passed('audit log', control.extendLog()),
  ]);
  const found = await control.recordRetention(passes.reduce(addTallies, NOTHING_YET), startedAt);
  return { kind: found.troubled > 0 ? 'troubled' : 'kept', ...found };
}

/** A pass that failed for good is a trouble, and not the end of the others. */
async function passed(name: string, work: Promise<LockTally>): Promise<LockTally> {
  try {
    return await work;
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    return addTrouble(
      NOTHING_YET,
      `the locks of the ${name} could not be extended: ${failure.code}: ${failure.reason}`,
    );
  }
}
