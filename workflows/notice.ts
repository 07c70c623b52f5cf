import type { Digest } from '../domain/digest.js';
import type { NoticeStanding, Retirement } from '../domain/lifecycle.js';
import { failureOf } from './failures.js';
import { Lapsed, takeBack } from './provisional.js';
import type { LifecycleRun } from './run.js';
import { showRun } from './strays.js';
import { settle, settleRefused } from './verdicts.js';
import { control } from './zones.js';

/** Whoever says that somebody has appeared is not believed: it is looked no oftener than this because of it. */
const APART_MS = 60_000;
const ANSWERS = ['acknowledge', 'waive'] as const;

/**
 * The notice period, waited out whole: nothing that arrives can shorten it. Whoever appears meanwhile is told, too, and it goes
 * on for as long as somebody who must answer has not. A release that stands only until some time within it is taken back then,
 * and retires all the same.
 */
export async function waitOutNotice(run: LifecycleRun, release: Digest, retirement: Retirement): Promise<void> {
  try {
    for (;;) {
      run.appeared = false;
      const standing = await run.insist(() => control.followNotice(run.name, release, retirement));
      const lookedAt = Date.now();
      if (standing.lookAt === null && standing.awaited.length === 0 && !run.appeared) break;
      await hear(run, release, retirement, { ...standing, lookedAt });
    }
    run.stand(null);
  } catch (error) {
    if (!(error instanceof Lapsed)) throw error;
    await takeBack(run, error.proviso);
    await waitOutNotice(run, release, retirement);
  }
}

/** Takes answers until there is something else to do; after the period, until nobody is waited for any more. */
async function hear(
  run: LifecycleRun,
  release: Digest,
  retirement: Retirement,
  { lookedAt, ...standing }: NoticeStanding & { readonly lookedAt: number },
): Promise<void> {
  const { lookAt, endsAt } = standing;
  let { awaited } = standing;
  while (lookAt !== null || awaited.length > 0 || run.appeared) {
    run.notice = { ...standing, awaited };
    showRun(run);
    const known = run.appeared;
    const due = lookAt === null ? Infinity : Date.parse(lookAt);
    const left = (known ? Math.min(due, lookedAt + APART_MS) : due) - Date.now();
    if (left <= 0) return;
    const arrived = (): boolean => run.inbox.has(...ANSWERS) || (run.appeared && !known);
    if (!(await run.until(arrived, left === Infinity ? undefined : left, `notice until ${endsAt}`))) return;
    if (run.inbox.has(...ANSWERS)) awaited = await answered(run, release, retirement, awaited);
  }
}

/** Gives each answer its verdict; answers who is still waited for. */
async function answered(
  run: LifecycleRun,
  release: Digest,
  retirement: Retirement,
  open: readonly string[],
): Promise<readonly string[]> {
  const batch = run.inbox.take(ANSWERS);
  try {
    const decisions = batch.map(({ decision }) => decision);
    const { verdicts, awaited } = await control.answerNotice(run.name, release, retirement, decisions);
    settle(batch, verdicts);
    return awaited;
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    settleRefused(batch, failure);
    return open;
  }
}
