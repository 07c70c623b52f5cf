import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** One tier after the other, the fast ones first: what measures a real process does not share the machine with the whole rest. */
const TIERS = ['unit', 'workflow', 'replay', 'conformance', 'e2e', 'reliability'] as const;

const tier = (name: (typeof TIERS)[number], options: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What is waited for comes when it comes: a busy machine is no failure.
    expect: { poll: { timeout: 45_000 } },
    sequence: { groupOrder: TIERS.indexOf(name) },
    ...options,
  },
});

export default defineConfig({
  test: {
    pool: 'forks',
    // Where CI or FORCE_COLOR is set, what is compared would be coloured.
    env: { NO_COLOR: '1' },
    passWithNoTests: false,
    projects: [
      tier('unit', { maxWorkers: Math.max(2, availableParallelism()) }),
      tier('workflow', { testTimeout: 180_000, hookTimeout: 180_000 }),
      tier('replay'),
      tier('conformance', { testTimeout: 120_000 }),
      tier('e2e', { testTimeout: 600_000, hookTimeout: 300_000 }),
      // Not a part of `npm test`: each takes its time, and the machine.
      tier('reliability', { maxWorkers: 1, maxConcurrency: 10, testTimeout: 600_000, hookTimeout: 300_000 }),
    ],
  },
});
