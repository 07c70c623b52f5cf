import type { DrillBegun, DrillControl, DrillTaken } from '../activities/drill-contract.js';
import { DRILL_STEPS, type DrillOutcome, type DrillPredicate, type DrillStep } from '../domain/drill.js';
import { shortWorkflow } from './short.js';
import { zone } from './zone.js';
import { failureOf } from './failures.js';
import { short } from './zones.js';

const control = zone<DrillControl>(
  { taskQueue: 'control', ...short, scheduleToCloseTimeout: '1 hour' },
  {
    beginDrill: () => 'looks whether the drill endpoint can be drilled now',
    // It waits for twice the agreed time at most, and an hour is the longest that can be agreed.
    drillStep: (step, { model }) => ({
      summary: `drills ${model}: ${step}`,
      startToCloseTimeout: '3 hours',
      scheduleToCloseTimeout: '3 hours',
    }),
    recordDrill: () => ({ summary: 'records what the drill has shown', scheduleToCloseTimeout: '12 hours' }),
  },
);

export type DrillEnded = { readonly kind: DrillOutcome } & DrillPredicate;

/**
 * One drill: rollback, kill and restore of the endpoint that the policy declares for it, each by a signed order on the way
 * that people's orders take, and measured. It is a schedule's, and takes no argument: whoever starts it besides can drill
 * that endpoint and no other.
 */
export async function drill(): Promise<DrillEnded> {
  return shortWorkflow(
    { model: null, version: null, title: 'a drill' },
    'drill',
    run,
    ({ model, outcome, reason }) => ({
      facts: [
        ['Endpoint', model],
        ['Shown', reason],
      ],
      trouble: outcome === 'over' || outcome === 'failed' ? [reason] : [],
    }),
  );
}

async function run(): Promise<DrillEnded> {
  const startedAt = new Date().toISOString();
  const found = await begun();
  const steps: DrillTaken[] = [];
  // Also after a step that failed: a kill must not stay because a rollback took no effect.
  if (found.kind === 'ready') for (const step of DRILL_STEPS) steps.push(await taken(step, found));
  const shown = await control.recordDrill({
    startedAt,
    begun: found.kind === 'ready' ? found : null,
    steps,
    notHeld: found.kind === 'ready' ? null : found,
  });
  return { kind: shown.outcome, ...shown };
}

async function begun(): ReturnType<DrillControl['beginDrill']> {
  try {
    return await control.beginDrill();
  } catch (error) {
    return { kind: 'failed', why: told(error) };
  }
}

async function taken(step: DrillStep, { model, serving, earlier }: DrillBegun): Promise<DrillTaken> {
  try {
    return { step, ...(await control.drillStep(step, { model, serving, earlier })) };
  } catch (error) {
    return { step, ms: null, trouble: told(error) };
  }
}

function told(error: unknown): string {
  const failure = failureOf(error);
  if (failure === null) throw error;
  return `${failure.code}: ${failure.reason}`;
}
