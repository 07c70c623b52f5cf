import type { PlanStep } from './statements.js';

/** What is wrong with the steps of a rollout, whoever asks for them; `null` when they are a plan. */
export function planFlaw(steps: readonly PlanStep[]): string | null {
  const rises = steps.every(({ weight }, at) => weight > (steps[at - 1]?.weight ?? 0));
  if (!rises || steps.at(-1)?.weight !== 100) return 'weights must rise, and the last must be 100';
  return steps.at(-1)?.pause === true ? 'nothing follows the last step that people could approve' : null;
}
