import { condition } from '@temporalio/workflow';
import type { Condemned, LifecycleOutcome } from '../domain/lifecycle.js';
import { insist } from './desk.js';
import { waitOutNotice } from './notice.js';
import { leaveRoutes } from './provisional.js';
import { agreed, erase } from './retire.js';
import type { LifecycleRun } from './run.js';
import { failureOf } from './failures.js';
import { settle, settleRefused } from './verdicts.js';
import { control, signing } from './zones.js';

/** Beside all else: a vulnerability notice that counts has stopped the release before anything else hears of it. */
export async function emergencies(run: LifecycleRun): Promise<never> {
  for (;;) {
    const counts = (): boolean => run.resumed && run.closed === null && run.progress.ingested !== undefined;
    await condition(() => counts() && run.inbox.has('condemn'));
    const batch = run.inbox.take(['condemn']);
    try {
      const notices = batch.map(({ decision }) => decision);
      const release = run.progress.ingested?.release ?? '';
      const { verdicts, condemned } = await control.condemnRelease(run.name, release, notices);
      if (condemned !== null && run.progress.condemned === undefined) stop(run, condemned);
      settle(batch, verdicts);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      settleRefused(batch, failure);
    }
  }
}

/**
 * The end of a release that a security authority has condemned: revoked and out of the routes at once, and everybody is told.
 * Its keys stay, as what may have to be looked into, until people say that they are to go; nobody waits for a notice then.
 */
export async function endCondemned(run: LifecycleRun): Promise<LifecycleOutcome> {
  const { name } = run;
  const release = run.progress.ingested?.release ?? '';
  takeUp(run);
  run.audits.add(() => control.noteCondemned(name, release));
  const revocation = await run.insist(() => signing.revokeCondemned(name, release));
  run.audits.add(() => control.noteErasure(name, release));
  void inform(run, release);
  await leaveRoutes(run, release, () => control.withdrawRelease(name, release));

  const retirement = await run.part('retirement', 'condemned', () => agreed(run, release));
  run.enter('retire');
  await waitOutNotice(run, release, retirement);
  run.closed = 'the release is being retired';
  const certificate = await erase(run, release, retirement, revocation);
  return { kind: 'retired', certificate };
}

/** Whatever the run waits in ends with `Stopped`. */
function stop(run: LifecycleRun, condemned: Condemned): void {
  run.progress = { ...run.progress, condemned };
  run.condemned = condemned;
}

/** From here on the run is about the end of what was condemned: of before, only what was agreed to about that counts. */
function takeUp(run: LifecycleRun): void {
  run.condemned = null;
  run.closed = null;
  run.proviso = null;
  if (run.counting?.act !== 'retire') run.counting = null;
  run.asking = run.counting !== null;
  run.enter('condemned');
}

const FIRST_RETRY_MS = 5 * 60_000;
const LONGEST_RETRY_MS = 24 * 3_600_000;

/** Whom no way has reached is written to again, for as long as it takes. */
async function inform(run: LifecycleRun, release: string): Promise<void> {
  const pause = (ms: number): Promise<boolean> => condition(() => run.closed !== null, ms);
  for (let ms = FIRST_RETRY_MS; ; ms = Math.min(2 * ms, LONGEST_RETRY_MS)) {
    const missed = await insist(() => control.informCondemned(run.name, release), {
      trouble: (why) => run.held(why),
      pause,
    });
    if (missed === null || missed === 0 || (await pause(ms))) return;
  }
}
