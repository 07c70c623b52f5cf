import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { initialise } from '../../../client/init.js';
import { Layout } from '../../../client/stack/layout.js';

/** Members whose own members are explained in the same row. */
const WHOLE = [
  ...[
    'authorities',
    'approvals.deploy',
    'approvals.restore',
    'approvals.retire',
    'approvals.train',
    'rollout.triggers',
  ],
  ...['components', 'tensors', 'vocabulary', 'config', 'dependencies'].map((part) => `versioning.${part}`),
];

/** Every field of the policy that `custody init` makes, with dots: what an operator meets. */
export function developmentPolicyFields(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'custody-policy-'));
  try {
    initialise(new Layout(folder), { environment: 'dev', suite: 'examples/digits/suite.yaml' });
    return fieldsOf(parse(readFileSync(join(folder, 'policy.yaml'), 'utf8')));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function fieldsOf(value: unknown, path: readonly string[] = []): string[] {
  const name = path.join('.');
  if (WHOLE.includes(name) || Array.isArray(value) || typeof value !== 'object' || value === null) return [name];
  return Object.entries(value).flatMap(([key, member]) => fieldsOf(member, [...path, key]));
}
