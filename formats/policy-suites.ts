import { z } from 'zod';
import { isDigest } from '../domain/digest.js';
import { isModelName, isVersion } from '../domain/names.js';
import type { SuiteRule } from '../domain/policy.js';
import { SUITE_GROUPS } from '../domain/suite.js';

const share = z.number().min(0).max(1);
const group = z.strictObject({
  minimumShare: share.exactOptional(),
  minimumCases: z.int().min(1).max(10_000).exactOptional(),
});
const groups = z.strictObject(
  Object.fromEntries(SUITE_GROUPS.map((name) => [name, group.exactOptional()])) as {
    [G in (typeof SUITE_GROUPS)[number]]: z.ZodExactOptional<typeof group>;
  },
);

export const suiteName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes');

const rule: z.ZodType<SuiteRule> = z.strictObject({
  suite: suiteName,
  version: z.string().refine(isVersion, 'not SemVer'),
  sha256: z.string().refine(isDigest, 'expected a SHA-256 in 64 lower-case hex digits'),
  models: z.array(z.string().refine(isModelName, 'not a model name')).min(1).max(1000).exactOptional(),
  minimumCases: z.int().min(1).max(10_000),
  groups: groups.exactOptional(),
  minimumAccuracy: share.exactOptional(),
  minimumRows: z.int().min(1).max(1_000_000).exactOptional(),
  minimumGroupRows: z.int().min(1).max(1_000_000).exactOptional(),
  maximumGap: share.exactOptional(),
});

/** The suites of a policy. A name stands once, since it is what criteria are called after. */
export const suiteRulesSchema = z
  .array(rule)
  .min(1)
  .max(100)
  .superRefine((rules, context) => {
    const names = rules.map(({ suite }) => suite);
    names.forEach((name, at) => {
      if (names.indexOf(name) !== at)
        context.addIssue({ code: 'custom', message: `the suite ${name} stands twice`, path: [at, 'suite'] });
    });
  });
