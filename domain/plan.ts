export interface PlanStep {
  /** Percent of callers, 0..100. 0: a preview, for whoever asks for it. */
  readonly weight: number;
  readonly bakeSeconds: number;
  /** Once it has been watched for its time, people must approve the next step. */
  readonly pause?: true;
}

/** What is wrong with the steps of a rollout, whoever asks for them; `null` when they are a plan. */
export function planFlaw(steps: readonly PlanStep[]): string | null {
  const rises = steps.every(({ weight }, at) => weight > (steps[at - 1]?.weight ?? -1));
  if (!rises || steps.at(-1)?.weight !== 100) return 'weights must rise, and the last must be 100';
  if (steps[0]?.weight === 0 && steps.length !== 2) return 'after a preview (weight 0) there is one switch, to 100';
  return steps.at(-1)?.pause === true ? 'nothing follows the last step that people could approve' : null;
}

/**
 * In what a release's own plan falls short of the least that the policy demands; `null` where it is as strict or stricter:
 * each of the policy's steps is in it, with its weight, watched for as long at least, with its pause. More steps may lie
 * between. So callers come to it no sooner than by the policy, and not before anything that the policy waits for.
 */
export function planWeaker(own: readonly PlanStep[], least: readonly PlanStep[]): string | null {
  const flaw = planFlaw(own);
  if (flaw !== null) return flaw;
  for (const { weight, bakeSeconds, pause } of least) {
    const step = own.find((each) => each.weight === weight);
    if (step === undefined) return `it leaves out the step to ${weight} %`;
    if (step.bakeSeconds < bakeSeconds)
      return `it watches the step to ${weight} % for ${step.bakeSeconds} s, the policy for ${bakeSeconds} s`;
    if (pause === true && step.pause !== true) return `it does not pause after the step to ${weight} %`;
  }
  return null;
}

/** What of a release's own plan applies: a first release has nobody to share callers with, and takes them all at once. */
export function planFor(own: readonly PlanStep[], isFirst: boolean): readonly PlanStep[] {
  return isFirst ? own.slice(-1) : own;
}

/** Why a plan could never come to its end in the time that the policy gives it; `null` where it could. */
export function planTooLong(own: readonly PlanStep[], withinSeconds: number): string | null {
  const seconds = own.slice(0, -1).reduce((sum, { bakeSeconds }) => sum + bakeSeconds, 0);
  return seconds <= withinSeconds
    ? null
    : `its last step would begin after ${seconds} s, and must within ${withinSeconds} s`;
}
