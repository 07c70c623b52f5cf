import { readFileSync } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { initialise } from '../../../client/init.js';
import { lintPolicy, signPolicyFile } from '../../../client/policies.js';
import { replaceFile } from '../../../client/files.js';
import { Layout } from '../../../client/stack/layout.js';
import type { DataFormat } from '../../../domain/artifacts.js';
import type { BreakerLimits } from '../../../domain/breaker.js';
import { adviseOn } from '../../../domain/policy-advice.js';
import type { PlanStep } from '../../../domain/plan.js';
import { diffPolicies } from '../../../domain/policy-diff.js';
import type { AlertRule, MetricRule } from '../../../domain/metrics.js';
import type { RepositoryRule } from '../../../domain/code-review.js';
import type { Authority, Policy, SuiteRule } from '../../../domain/policy.js';
import type { Triggers } from '../../../domain/routing.js';
import { policyJsonSchema, verifyPolicyChain } from '../../../formats/policy.js';
import { createWorld, PIPELINE, withProvisions } from '../../support/world.js';

type Deployment = NonNullable<Policy['emergency']['deployment']>;

const world = createWorld({ policy: (p) => ({ ...p, expires: new Date(Date.now() + 90 * 86_400_000).toISOString() }) });
const { policy, keys } = world;
const folder = mkdtempSync(join(tmpdir(), 'custody-policy-'));
afterAll(() => rmSync(folder, { recursive: true }));

function withAuthority(id: string, change: Partial<Authority>): Policy {
  return { ...policy, authorities: policy.authorities.map((held) => (held.id === id ? { ...held, ...change } : held)) };
}
function withTriggers(change: Partial<Triggers>): Policy {
  return { ...policy, rollout: { ...policy.rollout, triggers: { ...policy.rollout.triggers, ...change } } };
}
function withBreaker(change: Partial<BreakerLimits> = {}): Policy {
  const breaker = {
    ...{ windowSeconds: 10, minimumSamples: 50, maxErrorRate: 0.5, maxLatencyMs: 10_000 },
    ...{ consecutiveFailures: 20, openSeconds: 5, probes: 3, ...change },
  };
  return { ...policy, rollout: { ...policy.rollout, breaker } };
}
const write = (name: string, value: Policy): string => {
  const file = join(folder, name);
  replaceFile(file, stringify(value, { aliasDuplicateObjects: false }));
  return file;
};

describe('advice on a policy', () => {
  const now = world.at(0);
  const said = (value: Policy, severity: 'error' | 'warning', at = now): string[] =>
    adviseOn(value, at)
      .filter((advice) => advice.severity === severity)
      .map(({ path, message }) => `${path.join('.')}: ${message}`);
  const approvals = (change: Partial<Policy['approvals']['deploy']>): Policy => ({
    ...policy,
    approvals: { ...policy.approvals, deploy: { ...policy.approvals.deploy, ...change } },
  });

  test('finds nothing wrong with a good one', () => {
    expect(said(policy, 'error')).toEqual([]);
  });

  test('an error: callers refused where nobody could declare one', () => {
    const roles = ['operator', 'consumer'];
    const authorities = policy.authorities.filter((held) => !held.roles.some((role) => roles.includes(role)));
    const refusing: Policy = { ...policy, inventory: { unknownCallers: 'refuse' } };
    expect(said(refusing, 'error')).toEqual([]);
    expect(said({ ...refusing, authorities }, 'error')).toContainEqual(
      expect.stringMatching(/^inventory.unknownCallers: nobody with the role operator or consumer/),
    );
  });

  const warnings: [string, Policy, RegExp][] = [
    [
      'one root person',
      { ...policy, authorities: policy.authorities.filter(({ id }) => id !== 'root-b'), rootThreshold: 1 },
      /only one person holds the role root/,
    ],
    [
      'a comparison that tolerates what the limit allows',
      withTriggers({ comparison: { maxFalseAlarmRate: 0.01, tolerance: 0.1 } }),
      /comparison.tolerance: as much as maxErrorRate/,
    ],
    [
      'a metric of every release',
      withTriggers({ metrics: [{ name: 'x', query: 'up{model="{{model}}"}', atMost: 1 }] }),
      /metrics.0.query: without {{release}}, {{version}} or {{revision}} it says the same of every release/,
    ],
    ['a threshold of one', { ...policy, rootThreshold: 1 }, /rootThreshold: one person alone can change every rule/],
    ['no root person to spare', policy, /every root person must sign/],
    ['a decision of one person', policy, /approvals.deploy.count: one person alone decides to deploy/],
    ['an expiry that is near', { ...policy, expires: world.at(29 * 86_400) }, /expires: 29 days are left/],
    [
      'an approver who asks',
      withAuthority('alice', { roles: ['release-approver', 'requester'] }),
      /release-approver and requester in one person/,
    ],
    ['a policy without a breaker', policy, /rollout: without `breaker`/],
    ['accuracy of a single row', policy, /suites.0.minimumAccuracy: without `minimumRows` a single labelled row/],
    [
      'a breaker that stays open for long',
      withBreaker({ openSeconds: 600 }),
      /rollout.breaker.openSeconds: callers .* wait/,
    ],
  ];
  test.each(warnings)('warns of %s', (_, value, message) => {
    expect(said(value, 'warning')).toContainEqual(expect.stringMatching(message));
  });

  test('calls a quorum that nobody can reach an error', () => {
    const expired = {
      keys:
        policy.authorities.find(({ id }) => id === 'bob')?.keys.map((key) => ({ ...key, validUntil: world.at(-1) })) ??
        [],
    };
    const value = { ...withAuthority('bob', expired), approvals: approvals({ count: 2 }).approvals };
    expect(said(value, 'error')).toContainEqual(expect.stringMatching(/only 1 people .* could never open/));
    expect(said(approvals({ count: 2 }), 'error')).toEqual([]);
  });

  test('calls a policy that has expired an error', () => {
    expect(said({ ...policy, expires: world.at(-1) }, 'error')).toHaveLength(1);
  });
});

describe('what differs between two policies', () => {
  const told = (after: Policy, before = policy): string[] =>
    diffPolicies(before, after).map(
      ({ path, before: was, after: is, weakens }) => `${weakens ? '! ' : ''}${path}: ${was ?? ''} → ${is ?? ''}`,
    );

  test('of a breaker is what makes it patient, or is its absence', () => {
    expect(told(withBreaker({ consecutiveFailures: 30, openSeconds: 2 }), withBreaker())).toEqual([
      '! rollout.breaker.consecutiveFailures: 20 → 30',
      '! rollout.breaker.openSeconds: 5 → 2',
    ]);
    expect(told(withBreaker({ maxErrorRate: 0.2, probes: 1 }), withBreaker())).toEqual([
      'rollout.breaker.maxErrorRate: 0.5 → 0.2',
      'rollout.breaker.probes: 3 → 1',
    ]);
    expect(told(policy, withBreaker()).every((line) => line.startsWith('! rollout.breaker.'))).toBe(true);
  });

  test('is nothing between one and itself', () => {
    expect(told(policy)).toEqual([]);
  });

  const override = (change: Partial<Policy['override']>): Policy => {
    const provided = withProvisions(policy);
    if (provided.override === undefined) throw new Error('the policy knows no override');
    return { ...provided, override: { ...provided.override, ...change } };
  };
  const pipeline = (claims: Record<string, string>): Policy =>
    withAuthority('pipeline', { oidc: { ...PIPELINE, claims } });

  const withSuite = (change: Partial<SuiteRule>): Policy => {
    const suites = policy.validation.suites.map((rule) => ({ ...rule, ...change }));
    return { ...policy, validation: { ...policy.validation, suites } };
  };
  const compared = (maxFalseAlarmRate: number, tolerance: number): Policy =>
    withTriggers({ comparison: { maxFalseAlarmRate, tolerance } });
  const metric = { name: 'errors', query: 'up{release="{{release}}"}', atMost: 0.1, atLeast: 0, requires: ['up'] };
  const measured = (change: Partial<MetricRule>): Policy => withTriggers({ metrics: [{ ...metric, ...change }] });
  const alerting = (...alerts: AlertRule[]): Policy => withTriggers({ alerts });
  const alert = { name: 'security', query: 'ALERTS', requires: ['up'] };

  test('of a list is what comes, goes or changes in it, and not what only moves', () => {
    const [first, ...others] = policy.rollout.steps;
    const stepped = (...steps: PlanStep[]): Policy => ({ ...policy, rollout: { ...policy.rollout, steps } });
    const sooner = { weight: 1, bakeSeconds: 60 };
    expect(told(stepped(sooner, first!, ...others))).toEqual([
      'rollout.steps.1%.weight:  → 1',
      'rollout.steps.1%.bakeSeconds:  → 60',
    ]);
    expect(told(stepped(...others)).every((line) => line.startsWith(`! rollout.steps.${first!.weight}%.`))).toBe(true);
    expect(told(stepped({ ...first!, bakeSeconds: 0 }, ...others))).toEqual([
      `! rollout.steps.${first!.weight}%.bakeSeconds: ${first!.bakeSeconds} → 0`,
    ]);

    const [own] = policy.validation.suites;
    const further = { ...own!, suite: 'further', minimumCases: 1 };
    const tested = (...suites: SuiteRule[]): Policy => ({ ...policy, validation: { ...policy.validation, suites } });
    expect(told(tested(further, own!), tested(own!, further))).toEqual([]);
    expect(told(tested(further, own!)).every((line) => line.startsWith('validation.suites.further.'))).toBe(true);
    expect(
      told(tested(further), tested(further, own!)).every((line) => line.startsWith('! validation.suites.own.')),
    ).toBe(true);

    const formats = (...of: DataFormat[]): Policy => ({ ...policy, artifacts: { ...policy.artifacts, formats: of } });
    expect(told(formats('tokenizer', 'json'), formats('json', 'text'))).toEqual([
      'artifacts.formats.text: text → ',
      '! artifacts.formats.tokenizer:  → tokenizer',
    ]);
  });

  const triggerCases: [string, Policy, string][] = [
    ['a comparison that comes', compared(0.01, 0), 'rollout.triggers.comparison.tolerance:  → 0'],
    ['a metric that comes', measured({}), 'rollout.triggers.metrics.errors.atMost:  → 0.1'],
  ];
  const triggerChanges: [string, Policy, Policy, string][] = [
    ['a comparison that goes', compared(0.01, 0), policy, '! rollout.triggers.comparison.tolerance: 0 → '],
    ['more tolerance', compared(0.01, 0), compared(0.01, 0.1), '! rollout.triggers.comparison.tolerance: 0 → 0.1'],
    ['less tolerance', compared(0.01, 0.1), compared(0.01, 0), 'rollout.triggers.comparison.tolerance: 0.1 → 0'],
    [
      'fewer false alarms, and so fewer alarms',
      compared(0.1, 0),
      compared(0.01, 0),
      '! rollout.triggers.comparison.maxFalseAlarmRate: 0.1 → 0.01',
    ],
    ['more of them', compared(0.01, 0), compared(0.1, 0), 'rollout.triggers.comparison.maxFalseAlarmRate: 0.01 → 0.1'],
    ['a metric that goes', measured({}), policy, '! rollout.triggers.metrics.errors.name: errors → '],
    ['a higher metric', measured({}), measured({ atMost: 1 }), '! rollout.triggers.metrics.errors.atMost: 0.1 → 1'],
    ['a lower metric', measured({}), measured({ atLeast: -1 }), '! rollout.triggers.metrics.errors.atLeast: 0 → -1'],
    [
      'less of what a metric requires',
      measured({}),
      measured({ requires: [] }),
      '! rollout.triggers.metrics.errors.requires.up: up → ',
    ],
    [
      'another query',
      measured({}),
      measured({ query: 'up' }),
      `! rollout.triggers.metrics.errors.query: ${metric.query} → up`,
    ],
    ['an alert that goes', alerting(alert), alerting(), '! rollout.triggers.alerts.security.query: ALERTS → '],
  ];
  test.each(triggerChanges)('tells weaker from stronger: %s', (_, before, after, line) => {
    expect(told(after, before)).toContain(line);
  });

  const [firstStep, ...laterSteps] = policy.rollout.steps;
  const pausing: Policy = {
    ...policy,
    rollout: { ...policy.rollout, steps: [{ ...firstStep!, pause: true }, ...laterSteps] },
  };
  const cases: [string, Policy, string][] = [
    ['a suite for fewer models', withSuite({ models: ['digits'] }), '! validation.suites.own.models.digits:  → digits'],
    [
      'a group of which some may fail',
      withSuite({ groups: { safety: { minimumShare: 0.9 } } }),
      '! validation.suites.own.groups.safety.minimumShare:  → 0.9',
    ],
    ['groups that may lie apart', withSuite({ maximumGap: 0.1 }), 'validation.suites.own.maximumGap:  → 0.1'],
    ...triggerCases,
    ['a number that goes down', { ...policy, rootThreshold: 1 }, '! rootThreshold: 2 → 1'],
    ['a number that goes up', { ...policy, rootThreshold: 3 }, 'rootThreshold: 2 → 3'],
    ['less accuracy', withSuite({ minimumAccuracy: 0.5 }), '! validation.suites.own.minimumAccuracy: 0.9 → 0.5'],
    [
      'a longer life',
      { ...policy, expires: '2099-01-01T00:00:00.000Z' },
      `! expires: ${policy.expires} → 2099-01-01T00:00:00.000Z`,
    ],
    ['a shorter life', { ...policy, expires: world.at(60) }, `expires: ${policy.expires} → ${world.at(60)}`],
    [
      'gateways that stop',
      { ...policy, freshness: { ...policy.freshness, whenStale: 'stop' } },
      'freshness.whenStale: serve → stop',
    ],
    [
      'another suite',
      withSuite({ sha256: 'a'.repeat(64) }),
      `! validation.suites.own.sha256: ${policy.validation.suites[0]?.sha256 ?? ''} → ${'a'.repeat(64)}`,
    ],
    [
      'another role for the quorum',
      { ...policy, approvals: { ...policy.approvals, restore: { ...policy.approvals.restore, role: 'auditor' } } },
      '! approvals.restore.role: operator → auditor',
    ],
    [
      'more memory',
      { ...policy, training: { limits: { ...policy.training.limits, memoryMb: 8192 } } },
      '! training.limits.memoryMb: 4096 → 8192',
    ],
    ['the version alone', { ...policy, version: 2 }, 'version: 1 → 2'],
    ['a role gained', withAuthority('ada', { roles: ['auditor', 'operator'] }), '! authorities.ada:  → role operator'],
    ['a role lost', withAuthority('alice', { roles: ['auditor'] }), 'authorities.alice: role release-approver → '],
  ];
  test.each(cases)('names %s', (_, after, line) => {
    expect(told(after)).toContain(line);
  });

  const deployment = (change: (was: Deployment) => Deployment): Policy => {
    const { emergency, ...rest } = withProvisions(policy);
    if (emergency.deployment === undefined) throw new Error('the policy knows no emergency');
    return { ...rest, emergency: { ...emergency, deployment: change(emergency.deployment) } };
  };
  const COMMIT = 'c'.repeat(40);
  const code = (rule: Partial<RepositoryRule>): Policy => ({
    ...policy,
    training: { ...policy.training, repositories: [{ name: 'digits', branch: 'main', reviewers: 1, ...rule }] },
  });
  const { deploy, restore, retire } = policy.approvals;
  const untrained: Policy = {
    ...policy,
    approvals: { deploy, restore, retire },
    training: { limits: policy.training.limits },
  };
  const reaching = (...destinations: string[]): Policy => ({
    ...policy,
    training: { ...policy.training, destinations },
  });
  const unisolated: Policy = { ...policy, validation: { ...policy.validation, allowUnisolated: true } };
  const unknown = (unknownCallers: 'record' | 'refuse'): Policy => ({ ...policy, inventory: { unknownCallers } });
  const exceptions: [string, Policy, Policy, string][] = [
    [
      'fewer labelled rows',
      withSuite({ minimumRows: 30 }),
      withSuite({ minimumRows: 1 }),
      '! validation.suites.own.minimumRows: 30 → 1',
    ],
    [
      'no more rows of each group',
      withSuite({ minimumGroupRows: 5 }),
      policy,
      '! validation.suites.own.minimumGroupRows: 5 → ',
    ],
    ['more override authorities', override({ count: 1 }), override({ count: 2 }), 'override.count: 1 → 2'],
    ['fewer of them', override({ count: 2 }), override({ count: 1 }), '! override.count: 2 → 1'],
    [
      'a longer override',
      override({ holdsSeconds: 9 }),
      override({ holdsSeconds: 99 }),
      '! override.holdsSeconds: 9 → 99',
    ],
    [
      'more reviewers',
      deployment((was) => was),
      deployment((was) => ({ ...was, review: { ...was.review, count: 2 } })),
      'emergency.deployment.review.count: 1 → 2',
    ],
    [
      'an approval by fewer in an emergency',
      deployment((was) => ({ ...was, approval: { ...was.approval, count: 2 } })),
      deployment((was) => was),
      '! emergency.deployment.approval.count: 2 → 1',
    ],
    [
      'a shorter watch in an emergency',
      deployment((was) => ({ ...was, bakeSeconds: 60 })),
      deployment((was) => ({ ...was, bakeSeconds: 1 })),
      '! emergency.deployment.bakeSeconds: 60 → 1',
    ],
    ['a pause that comes', policy, pausing, 'rollout.steps.10%.pause:  → true'],
    ['a pause that goes', pausing, policy, '! rollout.steps.10%.pause: true → '],
    ['unknown callers that are refused', policy, unknown('refuse'), 'inventory.unknownCallers:  → refuse'],
    [
      'the same, where it stood otherwise',
      unknown('record'),
      unknown('refuse'),
      'inventory.unknownCallers: record → refuse',
    ],
    [
      'unknown callers that are answered',
      unknown('refuse'),
      unknown('record'),
      '! inventory.unknownCallers: refuse → record',
    ],
    ['the same, by silence', unknown('refuse'), policy, '! inventory.unknownCallers: refuse → '],
    ['results without a sandbox that count', policy, unisolated, '! validation.allowUnisolated:  → true'],
    ['results without a sandbox that no longer count', unisolated, policy, 'validation.allowUnisolated: true → '],
    ['an override that comes', policy, override({}), '! override.count:  → 1'],
    ['fewer reviewers', code({ reviewers: 2 }), code({}), '! training.repositories.digits.reviewers: 2 → 1'],
    ['more of them', code({}), code({ reviewers: 2 }), 'training.repositories.digits.reviewers: 1 → 2'],
    ['another branch', code({}), code({ branch: 'dev' }), '! training.repositories.digits.branch: main → dev'],
    [
      'reviews that are seen elsewhere',
      code({}),
      code({ github: 'ml/digits' }),
      '! training.repositories.digits.github:  → ml/digits',
    ],
    [
      'code that is not reviewed again',
      code({}),
      code({ since: COMMIT }),
      `! training.repositories.digits.since:  → ${COMMIT}`,
    ],
    ['code that is', code({ since: COMMIT }), code({}), `training.repositories.digits.since: ${COMMIT} → `],
    ['a repository more', untrained, policy, '! training.repositories.digits.branch:  → main'],
    ['a repository less', policy, untrained, 'training.repositories.digits.branch: main → '],
    [
      'a destination more',
      reaching('a.example:443'),
      reaching('a.example:443', 'b.example:443'),
      '! training.destinations.b.example:443:  → b.example:443',
    ],
    ['the first of them', policy, reaching('a.example:443'), '! training.destinations.a.example:443:  → a.example:443'],
    ['a destination less', reaching('a.example:443'), policy, 'training.destinations.a.example:443: a.example:443 → '],
    ['trainings that people may agree to', untrained, policy, '! approvals.train.count:  → 1'],
    ['an override that goes', override({}), policy, 'override.count: 1 → '],
    [
      'a change that is to demand less than others',
      policy,
      {
        ...policy,
        versioning: { ...policy.versioning, config: { ...policy.versioning.config, keys: { batch: 'patch' } } },
      },
      '! versioning.config.keys.batch:  → patch',
    ],
  ];
  test.each(exceptions)('tells weaker from stronger: %s', (_, before, after, line) => {
    expect(told(after, before)).toContain(line);
  });

  const always = (...criteria: string[]): Policy => ({
    ...policy,
    validation: { ...policy.validation, always: criteria },
  });
  const pinned = { ...PIPELINE.claims };
  const hidden: [string, Policy, Policy, string][] = [
    ['that all of safety may be lifted', policy, always(), '! validation.always: safety/* → '],
    ['that one criterion may be', always('a', 'b'), always('b'), '! validation.always: a → '],
    [
      'that tokens need one claim less',
      pipeline({ ...pinned, environment: 'prod' }),
      pipeline(pinned),
      '! authorities.pipeline: oidc.claims.environment prod → ',
    ],
    [
      'a key whose comment says that it ends',
      policy,
      withAuthority('bob', { keys: [{ ssh: 'ssh-ed25519 AAAA bob counts until 2020' }] }),
      '! authorities.bob:  → key ssh-ed25519 AAAA bob counts until 2020',
    ],
  ];
  test.each(hidden)('attack: nobody hides from who signs it %s', (_, before, after, line) => {
    expect(told(after, before)).toContain(line);
  });

  test('says nothing weakens where safety is written out', () => {
    expect(told(always('safety/*'))).toEqual([]);
    expect(told(always('safety/*', 'accuracy>=*'))).toEqual(['validation.always:  → accuracy>=*']);
  });

  test('names a key gained, and an end given to one', () => {
    const [key] = policy.authorities.find(({ id }) => id === 'bob')?.keys ?? [];
    if (key === undefined) throw new Error('bob has no key');
    const [other] = policy.authorities.find(({ id }) => id === 'ada')?.keys ?? [];
    const changed = told(
      withAuthority('bob', { keys: [{ ...key, validUntil: world.at(9) }, ...(other === undefined ? [] : [other])] }),
    );
    expect(changed).toHaveLength(2);
    expect(changed[0]).toMatch(/^authorities.bob: {2}→ key \S+ counts until /);
    expect(changed[1]).toMatch(/^! authorities.bob: {2}→ key \S+$/);
  });
});

describe('signing in turn', () => {
  test('adds one signature after another, and none twice', () => {
    const [file, out] = [write('turn.yaml', policy), join(folder, 'turn.signed.json')];
    for (const signer of [keys['root-a'], keys['root-b'], keys['root-a']])
      replaceFile(out, JSON.stringify(signPolicyFile(file, out, signer).envelope));
    const { envelope } = signPolicyFile(out, out, keys['root-b']);
    expect(envelope.signatures).toHaveLength(2);
    expect(verifyPolicyChain(world.root, [envelope])).toEqual([policy]);
  });

  test('attack: other bytes are not signed beside those that were', () => {
    const out = join(folder, 'bait.signed.json');
    replaceFile(out, JSON.stringify(signPolicyFile(write('bait.yaml', policy), out, keys['root-a']).envelope));
    const switched = write('switched.yaml', { ...policy, rootThreshold: 1 });
    expect(() => signPolicyFile(switched, out, keys['root-b'])).toThrow(
      expect.objectContaining({ code: 'POLICY_REFUSED' }),
    );
  });

  test('refuses what lint refuses', () => {
    const file = write('past.yaml', { ...policy, expires: world.at(-1) });
    expect(() => signPolicyFile(file, join(folder, 'none.json'), keys['root-a'])).toThrow(
      /past\.yaml:3:10 expires: this is past/,
    );
    expect(() => lintPolicy(file)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

describe('the JSON Schema', () => {
  test('that is published is the one of today: `npm run build && npm run schema` writes it', () => {
    const published: unknown = JSON.parse(readFileSync('docs/policy.schema.json', 'utf8'));
    expect(published).toEqual(JSON.parse(JSON.stringify(policyJsonSchema())));
  });

  test('accepts the policy of `custody init`, which names it in its first line', () => {
    const layout = new Layout(join(folder, 'state'));
    initialise(layout, { environment: 'dev', suite: 'examples/digits/suite.yaml' });
    const text = readFileSync(layout.path('policy.yaml'), 'utf8');
    expect(text).toMatch(/^# yaml-language-server: \$schema=\.\/policy\.schema\.json\n/);
    const schema = JSON.parse(readFileSync(layout.path('policy.schema.json'), 'utf8')) as object;
    const { policy: made } = lintPolicy(layout.path('policy.yaml'));
    const validate = new Ajv2020({ strict: false }).compile(schema);
    expect(validate(made), JSON.stringify(validate.errors)).toBe(true);
    expect(validate({ ...made, rolout: {} })).toBe(false);
  });
});
