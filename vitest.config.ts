import { defineConfig } from 'vitest/config';

const project = (name: string, options: object = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: 60_000, hookTimeout: 60_000, ...options },
});

export default defineConfig({
  test: {
    pool: 'forks',
    passWithNoTests: false,
    projects: [
      project('unit'),
      project('workflow', { fileParallelism: false }),
      project('replay', { fileParallelism: false }),
      project('conformance', { fileParallelism: false, testTimeout: 120_000 }),
      project('e2e', { fileParallelism: false, testTimeout: 600_000, hookTimeout: 300_000 }),
    ],
  },
});
