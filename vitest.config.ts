import { defineConfig } from 'vitest/config';

/** One tier after the other, the fast ones first: tests of real processes do not share the machine with the rest. */
const TIERS = ['unit', 'workflow', 'replay', 'conformance', 'e2e'] as const;

const tier = (name: (typeof TIERS)[number], options: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    sequence: { groupOrder: TIERS.indexOf(name) },
    ...options,
  },
});

export default defineConfig({
  test: {
    pool: 'forks',
    passWithNoTests: false,
    projects: [
      tier('unit'),
      tier('workflow', { fileParallelism: false }),
      tier('replay', { fileParallelism: false }),
      tier('conformance', { fileParallelism: false, testTimeout: 120_000 }),
      tier('e2e', { fileParallelism: false, testTimeout: 600_000, hookTimeout: 300_000 }),
    ],
  },
});
