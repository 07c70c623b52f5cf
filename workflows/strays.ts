import { setHandler } from '@temporalio/workflow';
import type { LifecycleStatus } from '../domain/lifecycle.js';
import type { Stray } from './desk.js';
import { show } from './display.js';
import {
  consumersChangedSignal,
  holdLiftedSignal,
  LIFECYCLE_DECISIONS,
  lifecycleStatusQuery,
  rolloutEndedSignal,
  type LifecycleDecision,
} from './messages.js';
import type { LifecycleRun } from './run.js';

/** What can never count for a lifecycle at the moment, and why. */
export function straysOf(run: LifecycleRun): Stray[] {
  const { closed, asking, counting, inbox, progress } = run;
  if (closed !== null) return [{ names: LIFECYCLE_DECISIONS, reason: closed }];
  // What an earlier run has handed on is judged by where the release stands, and that is not known yet.
  if (!run.resumed) return [];
  if (progress.retirement !== undefined)
    return [
      {
        names: LIFECYCLE_DECISIONS.filter((name) => isPast(name, run.leaving)),
        reason: 'the release is being retired',
      },
    ];
  const strays: Stray[] = [];
  if (!run.noticing) strays.push({ names: ['acknowledge', 'waive'], reason: 'nobody has been told of a retirement' });
  if (progress.ingested === undefined) strays.push({ names: ['condemn'], reason: 'the release has not been taken in' });
  if (!asking && !inbox.has('retire'))
    strays.push({ names: ['approve', 'reject'], reason: 'nothing waits for a decision' });
  if (progress.validated?.failed.length === 0)
    strays.push({ names: ['override'], reason: 'nothing has failed that could be lifted' });
  if (counting?.act === 'review')
    strays.push({ names: ['retire'], reason: 'it is to be reviewed first: to take it back, reject it' });
  if (counting?.act === 'retire')
    strays.push({ names: ['retire'], reason: `request ${counting.gate.requestId} to retire is already open` });
  return strays;
}

/** What comes too late once a retirement is agreed to; nobody is waited for once the release is `leaving`. */
const isPast = (name: LifecycleDecision, leaving: boolean): boolean =>
  name !== 'condemn' && (leaving || (name !== 'acknowledge' && name !== 'waive'));

/** What tells it something, and what asks it. */
export function listenTo(run: LifecycleRun): void {
  setHandler(rolloutEndedSignal, () => {
    run.rolloutEnded = true;
  });
  setHandler(holdLiftedSignal, () => {
    run.woken = true;
  });
  setHandler(consumersChangedSignal, () => {
    run.appeared = true;
  });
  setHandler(lifecycleStatusQuery, () => statusOf(run));
}

function statusOf({ stage, progress, proviso, counting, notice, trouble }: LifecycleRun): LifecycleStatus {
  return { stage, progress, proviso, gate: counting?.gate ?? null, missing: counting?.missing ?? 0, notice, trouble };
}

/** What people see of it in the UI. */
export function showRun(run: LifecycleRun): void {
  const { name, stage, progress, counting, trouble } = run;
  const title = `${name.model} ${name.version}`;
  show({
    ...name,
    ...{ title, stage, counting, trouble, facts: factsOf(run), digest: progress.ingested?.release ?? null },
  });
}

/** What people see of a lifecycle besides its stage. */
function factsOf({ proviso, notice, progress: { validated, retirement, outcome } }: LifecycleRun): [string, string][] {
  const facts: [string, string][] = [];
  for (const miss of validated?.misses ?? []) facts.push(['Failed', miss]);
  if (validated?.remedy !== undefined) facts.push(['An override would need', validated.remedy]);
  if (proviso !== null) facts.push(['Stands until', proviso.until]);
  if (retirement !== undefined) facts.push(['Retires', notice?.endsAt ?? retirement.retiresAt]);
  if (notice !== null && notice.awaited.length > 0) facts.push(['Waits for an answer of', notice.awaited.join(', ')]);
  if (outcome !== undefined)
    facts.push(['Outcome', 'reason' in outcome ? `${outcome.kind}: ${outcome.reason}` : outcome.kind]);
  return facts;
}
