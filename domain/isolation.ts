import type { Policy } from './policy.js';

/** What kept bytes and programs of somebody else's from the host: a sandbox, or nothing but being a process of their own. */
export const ISOLATIONS = ['bubblewrap', 'unshare', 'none'] as const;
export type Isolation = (typeof ISOLATIONS)[number];

const NAMED = 'isolation: ';

/** How a test result says it, among what it was configured with. */
export function isolationName(isolation: Isolation): string {
  return `${NAMED}${isolation}`;
}

/** What a test result says of it: one word in a sound one. */
export function isolationsIn(configuration: readonly { readonly name: string }[]): readonly string[] {
  return configuration.flatMap(({ name }) => (name.startsWith(NAMED) ? [name.slice(NAMED.length)] : []));
}

/** Why what was found so does not count; `null` where it does. Without a sandbox it counts only where the policy says so. */
export function isolationProblem(
  claimed: readonly string[],
  { validation }: Pick<Policy, 'validation'>,
): string | null {
  const [only, ...more] = claimed;
  if (only === undefined || more.length > 0) return 'does not say in what isolation it was made';
  if (only === 'none')
    return validation.allowUnisolated === true
      ? null
      : 'was made without a sandbox, and the policy does not allow that';
  return (ISOLATIONS as readonly string[]).includes(only)
    ? null
    : `was made in isolation by ${only}, which is no sandbox`;
}
