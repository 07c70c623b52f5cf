import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Authority, Policy } from '../../../domain/policy.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { verifyPolicies } from '../../../formats/evidence.js';
import { generateKey, importPrivateKey, type SigningKey } from '../../../formats/keys.js';
import {
  parsePinnedRoot,
  parsePolicyYaml,
  policyDigest,
  signPolicy,
  verifyPolicyChain,
} from '../../../formats/policy.js';
import { sha256 } from '../../../formats/sha256.js';
import { signStatement } from '../../../formats/statements.js';
import { createSshKey } from '../../support/ssh.js';
import { createWorld } from '../../support/world.js';

const world = createWorld();
const { keys, pems, policy, policyEnvelope, root } = world;
const roots = [keys['root-a'], keys['root-b']];
const newKey = (): SigningKey => importPrivateKey(generateKey('ed25519').privatePem);
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'POLICY_REFUSED', message: expect.stringMatching(message) as string });

function withAuthority(id: string, change: Partial<Authority>): (policy: Policy) => Policy {
  return (p) => ({ ...p, authorities: p.authorities.map((held) => (held.id === id ? { ...held, ...change } : held)) });
}

const verify = (...envelopes: SignedEnvelope[]) => verifyPolicyChain(root, envelopes);

describe('the policy chain', () => {
  test('grows by policies signed by enough root keys of the old and the new rules', () => {
    const second = world.nextPolicy((p) => ({ ...p, rootThreshold: 1 }));
    const third = world.nextPolicy((p) => p, second.policy, [keys['root-b']]);
    expect(verify(policyEnvelope, second.envelope, third.envelope).map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  test('is nothing without a policy', () => {
    expect(() => verifyPolicies(root, [])).toThrow(refused(/there is no policy/));
  });

  test('finds its policies by digest, and no other', () => {
    const second = world.nextPolicy((p) => ({ ...p, rollback: { warmReleases: 0 } }));
    const policies = verifyPolicies(root, [policyEnvelope, second.envelope]);
    expect(policies.newest).toEqual(second.policy);
    expect(policies.byDigest(policyDigest(policy))).toEqual(policy);
    expect(() => policies.byDigest(sha256('another'))).toThrow(refused(/no applied policy has the digest/));
  });

  const carol = newKey();
  const dave = newKey();
  const handOver = (p: Policy): Policy => {
    const taken = withAuthority('root-a', { keys: [{ pem: carol.pem }] })(p);
    return withAuthority('root-b', { keys: [{ pem: dave.pem }] })(taken);
  };

  test('hands over to new root keys when old and new have signed', () => {
    const next = world.nextPolicy(handOver, policy, [...roots, carol, dave]);
    const then = world.nextPolicy((p) => p, next.policy, [carol, dave]);
    expect(verify(policyEnvelope, next.envelope, then.envelope)).toHaveLength(3);
  });

  test('begins from, and grows by, roots that sign with SSH keys', () => {
    const [rosa, toni] = [createSshKey('ssh-ed25519'), createSshKey('sk-ssh-ed25519@openssh.com')];
    const change = (p: Policy): Policy =>
      withAuthority('root-a', { keys: [{ ssh: rosa.line }] })(
        withAuthority('root-b', { keys: [{ ssh: toni.line }] })(p),
      );
    const first = change(policy);
    const pinned = { ...root, rootKeys: [`${rosa.line} rosa@home\n`, toni.line] };
    const second = world.nextPolicy((p) => p, first, [rosa, toni]);
    expect(verifyPolicyChain(pinned, [signPolicy(first, [rosa, toni]), second.envelope])).toHaveLength(2);
    expect(() => verifyPolicyChain(pinned, [signPolicy(first, [rosa])])).toThrow(refused(/1 root signatures/));
    expect(() => verifyPolicyChain(pinned, [signPolicy(first, [createSshKey('ssh-ed25519'), rosa])])).toThrow(
      refused(/1 root signatures/),
    );
  });

  const attacks: [string, () => SignedEnvelope[], RegExp][] = [
    [
      'a first policy by one root key',
      () => [signPolicy(policy, [keys['root-a']])],
      /1 root signatures of the rules before, 2/,
    ],
    [
      'a policy by one root key',
      () => [policyEnvelope, world.nextPolicy((p) => p, policy, [keys['root-a']]).envelope],
      /policy 2: 1 root signatures of the rules before, 2/,
    ],
    [
      'a policy by one root key and somebody else',
      () => [policyEnvelope, world.nextPolicy((p) => p, policy, [keys['root-a'], keys.alice]).envelope],
      /1 root signatures of the rules before, 2/,
    ],
    [
      'new root keys that only the old ones have signed',
      () => [policyEnvelope, world.nextPolicy(handOver, policy, [...roots, carol]).envelope],
      /1 root signatures of its own, 2/,
    ],
    [
      'a greater threshold that only the old one has reached',
      () => [
        policyEnvelope,
        world.nextPolicy((p) => withAuthority('sam', { roles: ['root'] })({ ...p, rootThreshold: 3 }), policy, roots)
          .envelope,
      ],
      /2 root signatures of its own, 3/,
    ],
    [
      'a policy left out',
      () => [policyEnvelope, world.nextPolicy((p) => ({ ...p, version: 3 })).envelope],
      /policy 2: it says it is version 3/,
    ],
    ['the same policy twice', () => [policyEnvelope, policyEnvelope], /policy 2: it says it is version 1/],
    ['a chain without its beginning', () => [world.nextPolicy((p) => p).envelope], /policy 1: it says it is version 2/],
    [
      'a policy for another environment',
      () => [policyEnvelope, world.nextPolicy((p) => ({ ...p, environment: 'production' })).envelope],
      /environment production/,
    ],
    [
      'a policy whose subject is another',
      () => [signStatement('policy', { name: 'policy/1', sha256: sha256('another') }, policy, roots)],
      /its subject is not its own digest/,
    ],
  ];
  test.each(attacks)('attack: refuses %s', (_, envelopes, message) => {
    expect(() => verify(...envelopes())).toThrow(refused(message));
  });

  test('attack: refuses new root keys that no old one has signed, and strangers altogether', () => {
    const invalid: unknown = expect.objectContaining({ code: 'SIGNATURE_INVALID' });
    expect(() => verify(policyEnvelope, world.nextPolicy(handOver, policy, [carol, dave]).envelope)).toThrow(invalid);
    expect(() => verify(signPolicy(policy, [keys.mallory, keys.alice]))).toThrow(invalid);
  });

  test('attack: new root keys whose own signature is missing altogether are refused', () => {
    const next = world.nextPolicy(handOver, policy, roots).envelope;
    expect(() => verify(policyEnvelope, next)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
  });

  test('attack: one person with two root keys is one signature', () => {
    const second = newKey();
    const two = withAuthority('root-a', { keys: [{ pem: pems['root-a'].publicPem }, { pem: second.pem }] });
    const first = world.nextPolicy(two);
    const both = [keys['root-a'], second];
    const next = world.nextPolicy((p) => p, first.policy, both);
    expect(verify(policyEnvelope, first.envelope)).toHaveLength(2);
    expect(() => verify(policyEnvelope, first.envelope, next.envelope)).toThrow(refused(/policy 3: 1 root signatures/));
  });

  test('attack: one key pinned twice is one signature', () => {
    const twice = { ...root, rootKeys: [pems['root-a'].publicPem, pems['root-a'].publicPem] };
    expect(() => verifyPolicyChain(twice, [signPolicy(policy, [keys['root-a']])])).toThrow(
      refused(/1 root signatures/),
    );
  });

  test('attack: one signature twice in an envelope counts once', () => {
    const { signatures, ...rest } = signPolicy(policy, [keys['root-a']]);
    expect(() => verify({ ...rest, signatures: [...signatures, ...signatures] })).toThrow(refused(/1 root signatures/));
  });
});

describe('a pinned root', () => {
  const text = JSON.stringify(root);

  test('is read from its file', () => {
    expect(parsePinnedRoot(text, 'root.json', 'test')).toEqual(root);
  });

  test.each([
    ['of another environment', text, 'production', /root of the environment test/],
    ['without keys', JSON.stringify({ ...root, rootKeys: [] }), 'test', /rootKeys/],
    ['without a threshold', JSON.stringify({ ...root, threshold: 0 }), 'test', /threshold/],
    ['with something else in it', JSON.stringify({ ...root, also: 'x' }), 'test', /also/],
    ['that is no JSON', '{', 'test', /root\.json/],
  ])('is refused %s', (_, content, environment, message) => {
    expect(() => parsePinnedRoot(content, 'root.json', environment)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) as string }),
    );
  });
});

const YAML = stringify(policy, { aliasDuplicateObjects: false });
function place(text: string, part: string): string {
  const lines = text.slice(0, text.indexOf(part)).split('\n');
  return `${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
}

describe('policy.yaml', () => {
  test('is read as the policy that is signed', () => {
    expect(parsePolicyYaml(YAML, 'policy.yaml').value).toEqual(policy);
  });

  const typos: [string, string, string][] = [
    ['rollout:', 'rolout:', 'rolout: unknown key, did you mean "rollout"?'],
    ['warmReleases:', 'warmRelease:', 'rollback.warmRelease: unknown key, did you mean "warmReleases"?'],
    ['withinSeconds:', 'WithinSecs:', 'approvals.deploy.WithinSecs: unknown key, did you mean "withinSeconds"?'],
    ['minimumCases:', 'coffee:', 'validation.suites.0.coffee: unknown key'],
    ['    kind: person', '    knid: person', 'authorities.0.knid: unknown key, did you mean "kind"?'],
    ['validFrom:', 'validForm:', 'authorities.2.keys.0.validForm: unknown key, did you mean "validFrom"?'],
    ['outputMb:', 'outputMB:', 'training.limits.outputMB: unknown key, did you mean "outputMb"?'],
  ];
  test.each(typos)('names the line of %s when it is written %s', (right, wrong, message) => {
    const dated = YAML.replace(/(id: alice[\s\S]*?)- pem:/, '$1- validFrom: 2020-01-01T00:00:00.000Z\n        pem:');
    const text = dated.replace(right, wrong);
    expect(problems(text)).toContain(`policy.yaml:${place(text, wrong.trimStart())} ${message}`);
  });

  const values: [string, string, string][] = [
    ['version: 1', 'version: one', 'version: Invalid input: expected number, received string'],
    ['version: 1', 'version: 1.5', 'version: Invalid input: expected int, received number'],
    ['environment: test', 'environment: Test', 'environment: Invalid string: must match pattern'],
    ['environment: test', 'environment: no', 'no is a truth value to some readers: put it in quotes'],
    ['environment: test', 'on: test', 'on is a truth value to some readers: put it in quotes'],
    [
      'whenStale: serve',
      'whenStale: Serve',
      'freshness.whenStale: "Serve" is none of serve, stop, did you mean "serve"?',
    ],
    [
      'rootThreshold: 2',
      'inventory: { unknownCallers: refused }\nrootThreshold: 2',
      'inventory.unknownCallers: "refused" is none of record, refuse, did you mean "refuse"?',
    ],
    ['- auditor\n', '- auditer\n', 'authorities.8.roles.0: "auditer" is none of root, '],
    ['noticeSeconds: 1', 'noticeSeconds: 86400000000000', 'retirement.noticeSeconds: Too big'],
    ['noticeSeconds: 1', 'noticeSeconds: 1 day', 'retirement.noticeSeconds: Invalid input: expected number'],
    ['expires: ', 'expires: next year # ', 'expires: expected a time like'],
    ['weight: 50', 'weight: 5', 'rollout.steps: weights must rise, and the last must be 100'],
    ['weight: 10', 'weight: 0', 'rollout.steps: after a preview (weight 0) there is one switch, to 100'],
    ['steps:\n', 'strategy: blue-green\n  steps:\n', 'rollout.steps: blue-green is a preview (weight 0) and then 100'],
    ['steps:\n', 'strategy: bluegreen\n  steps:\n', 'rollout.strategy: "bluegreen" is none of canary, blue-green'],
    ['weight: 10', 'weight: -10', 'rollout.steps.0.weight: Too small'],
    ['weight: 50', 'weight: 10', 'rollout.steps: weights must rise, and the last must be 100'],
    ['weight: 50', 'weight: 100', 'rollout.steps: weights must rise, and the last must be 100'],
    ['weight: 50', 'weight: 50.5', 'rollout.steps.1.weight: Invalid input'],
    ['weight: 100', 'weight: 101', 'rollout.steps.2.weight: Too big'],
    ['weight: 100', 'weight: 100\n      pause: true', 'rollout.steps: nothing follows the last step'],
    ['weight: 100', 'weight: 99', 'rollout.steps: weights must rise, and the last must be 100'],
    ['lifetimeSeconds: 300', 'lifetimeSeconds: 2', 'freshness.lifetimeSeconds: must exceed reissueSeconds'],
    ['auditDays: 7', 'auditDays: 1e9', 'retention.auditDays: Too big'],
    ['auditDays: 7', 'auditDays: 36501', 'retention.auditDays: Too big'],
    ['auditDays: 7', 'auditDays: 0', 'retention.auditDays: Too small'],
    ['auditDays: 7', 'auditDays: -7', 'retention.auditDays: Too small'],
    ['auditDays: 7', 'auditDays: .inf', 'retention.auditDays: Invalid input: expected number'],
    ['auditDays: 7', 'auditDays: 0000-00-00', 'retention.auditDays: Invalid input: expected number'],
    ['auditDays: 7', 'auditDays: 2020-01-01', 'retention.auditDays: Invalid input: expected number'],
    ['killResponseSeconds: 5', 'killResponseSeconds: -5', 'emergency.killResponseSeconds: Too small'],
    ['rootThreshold: 2', 'rootThreshold: 3', 'rootThreshold: only 2 authorities hold the role root'],
    ['rootThreshold: 2', 'rootThreshold: 0', 'rootThreshold: Too small'],
    ['count: 1', 'count: 3', 'approvals.deploy.count: only 2 people hold the role release-approver'],
    ['reviewers: 1', 'reviewers: 3', 'training.repositories.0.reviewers: only 2 people hold the role reviewer'],
    [
      'reviewers: 1',
      'reviewers: 1\n  destinations: [ "*.example.org:443" ]',
      'training.destinations.0: expected host:port',
    ],
    ['id: bob', 'id: alice', 'authorities.3.id: the id alice stands twice'],
    ['- root\n', '- control\n', 'authorities.0.roles: a person cannot hold a workload role'],
    [
      'timeoutSeconds: 60',
      'timeoutSeconds: 60\n  allowUnisolated: false',
      'validation.allowUnisolated: Invalid input: expected true',
    ],
    ['- auditor\n', '- emperor\n', 'authorities.8.roles.0: "emperor" is none of root, requester, '],
    [
      'BEGIN PUBLIC KEY',
      'BEGIN PRIVATE KEY',
      'authorities.0.keys.0.pem: not an acceptable public key: the PEM must be exactly one',
    ],
  ];
  test.each(values)('names the line and the path when %s becomes %s', (right, wrong, message) => {
    const text = YAML.replace(right, wrong);
    expect(problems(text)).toContainEqual(
      expect.stringMatching(new RegExp(`^policy\\.yaml:\\d+:\\d+ ${escaped(message)}`)),
    );
  });

  test('points at the line of the value', () => {
    const text = YAML.replace('minimumAccuracy: 0.9', 'minimumAccuracy: 9');
    expect(problems(text)[0]).toMatch(
      new RegExp(`^policy\\.yaml:${place(text, '9\n  timeoutSeconds')} validation\\.suites\\.0\\.minimumAccuracy: `),
    );
  });

  test.each([
    ['root-a', 'validUntil'],
    ['release-signer', 'validFrom'],
  ] as const)('a time on a key of %s is refused, since its signatures bear none', (id, bound) => {
    const at = policy.authorities.findIndex((each) => each.id === id);
    const keys = (policy.authorities[at]?.keys ?? []).map((key) => ({ ...key, [bound]: '2030-01-01T00:00:00.000Z' }));
    const text = stringify(withAuthority(id, { keys })(policy), { aliasDuplicateObjects: false });
    expect(problems(text)).toContainEqual(
      expect.stringContaining(
        `authorities.${at}.keys.0.${bound}: a key of a root or release signer ends with the policy`,
      ),
    );
  });

  test('attack: a number on GitHub is one person’s, and no program’s', () => {
    const numbered = (...ids: readonly string[]): string =>
      stringify(
        {
          ...policy,
          authorities: policy.authorities.map((each) => (ids.includes(each.id) ? { ...each, github: 583_231 } : each)),
        },
        { aliasDuplicateObjects: false },
      );
    expect(() => parsePolicyYaml(numbered('alice'), 'policy.yaml')).not.toThrow();
    expect(problems(numbered('alice', 'bob'))).toContainEqual(expect.stringContaining('this is alice on GitHub'));
    expect(problems(numbered('ci'))).toContainEqual(expect.stringContaining('only people review on GitHub'));
  });

  test('attack: a key has one owner', () => {
    const shared = {
      ...policy,
      authorities: policy.authorities.map((held) =>
        held.id === 'bob' ? { ...held, keys: [{ pem: pems.alice.publicPem }] } : held,
      ),
    };
    const text = stringify(shared, { aliasDuplicateObjects: false });
    expect(problems(text)).toContainEqual(expect.stringContaining("authorities.3.keys.0: this key is already alice's"));
  });

  test('attack: one key in two spellings has one owner, too', () => {
    const spelled = pems.alice.publicPem.replaceAll('\n', '\r\n');
    const shared = {
      ...policy,
      authorities: policy.authorities.map((held) => (held.id === 'bob' ? { ...held, keys: [{ pem: spelled }] } : held)),
    };
    const text = stringify(shared, { aliasDuplicateObjects: false });
    expect(problems(text)).toContainEqual(expect.stringContaining("this key is already alice's"));
  });

  const withKeys = (id: string, ...held: Authority['keys']): string =>
    stringify(withAuthority(id, { keys: held })(policy), { aliasDuplicateObjects: false });
  const own = createSshKey('ssh-ed25519');
  const device = createSshKey('sk-ecdsa-sha2-nistp256@openssh.com');

  test("takes people's SSH keys, beside PEM, with their validity", () => {
    const held = [
      { ssh: `${own.line} alice@laptop`, validUntil: '2030-01-01T00:00:00.000Z' },
      { ssh: device.line },
      { pem: pems.alice.publicPem },
    ];
    const read = parsePolicyYaml(withKeys('alice', ...held), 'policy.yaml').value;
    expect(read.authorities.find(({ id }) => id === 'alice')?.keys).toEqual(held);
  });

  const enrolments: [string, string, string][] = [
    [
      'RSA',
      withKeys('bob', { ssh: 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 bob' }),
      'ssh: not an acceptable SSH public key: "ssh-rsa" is not one of',
    ],
    [
      'what is none',
      withKeys('bob', { ssh: 'ssh-ed25519' }),
      'ssh: not an acceptable SSH public key: expected one line',
    ],
    ['an SSH key as PEM', withKeys('bob', { pem: own.line }), 'pem: the public key is not base64'],
    [
      'PEM as an SSH key',
      withKeys('bob', { ssh: own.spkiPem }),
      'ssh: not an acceptable SSH public key: expected one line',
    ],
    ['both in one', withKeys('bob', { pem: pems.bob.publicPem, ssh: own.line }), 'a key is either "pem" or "ssh"'],
    ['neither', withKeys('bob', { validFrom: '2020-01-01T00:00:00.000Z' } as never), 'a key is either "pem" or "ssh"'],
  ];
  test.each(enrolments)('attack: names the line where %s was to be enrolled', (_, text, message) => {
    const [found = '', ...more] = problems(text);
    expect(more).toEqual([]);
    const [, at] = new RegExp(
      `^policy\\.yaml:(\\d+):\\d+ authorities\\.3\\.keys\\.0(?:\\.|: )${escaped(message)}`,
    ).exec(found) ?? [found];
    const lines = text.split('\n');
    expect(Number(at)).toBeGreaterThan(lines.indexOf('  - id: bob') + 1);
    expect(Number(at)).toBeLessThanOrEqual(lines.indexOf('  - id: oscar'));
  });

  test("attack: a workload's key is no SSH key", () => {
    expect(problems(withKeys('trainer', { ssh: createSshKey('ecdsa-sha2-nistp256').line }))).toContainEqual(
      expect.stringContaining('keys: a workload signs by itself: its keys are PEM'),
    );
  });

  test('attack: a key under two people is refused, once as PEM and once as SSH, or by another comment', () => {
    const shared = (alice: Authority['keys'], bob: Authority['keys']): string =>
      stringify(withAuthority('bob', { keys: bob })(withAuthority('alice', { keys: alice })(policy)));
    const twice: unknown = expect.stringContaining("authorities.3.keys.0: this key is already alice's");
    for (const key of [own, device, createSshKey('ecdsa-sha2-nistp384')]) {
      expect(problems(shared([{ pem: key.spkiPem }], [{ ssh: key.line }]))).toContainEqual(twice);
      expect(problems(shared([{ ssh: key.line }], [{ pem: key.spkiPem }]))).toContainEqual(twice);
      expect(problems(shared([{ ssh: `${key.line} alice` }], [{ ssh: `${key.line} bob` }]))).toContainEqual(twice);
    }
    expect(problems(withKeys('bob', { pem: own.spkiPem }, { ssh: own.line }))).toContainEqual(
      expect.stringContaining("authorities.3.keys.1: this key is already bob's"),
    );
  });

  const query = 'up{release="{{release}}"}';
  const rules: [string, object, string][] = [
    [
      'a placeholder that there is not',
      { metrics: [{ name: 'x', query: 'up{a="{{relese}}"}', atMost: 1 }] },
      'metrics.0.query: {{relese}} is none of {{model}}',
    ],
    [
      'a placeholder without quotes',
      { metrics: [{ name: 'x', query: 'up{a={{model}}}', atMost: 1 }] },
      'metrics.0.query: {{model}} must stand in a label value',
    ],
    [
      'one in what an alert requires',
      { alerts: [{ name: 'x', query, requires: ['{{model}}'] }] },
      'alerts.0.requires.0: {{model}} must stand in',
    ],
    [
      'an alert that requires nothing',
      { alerts: [{ name: 'x', query, requires: [] }] },
      'alerts.0.requires: Too small',
    ],
    [
      'a metric without a limit',
      { metrics: [{ name: 'x', query }] },
      'metrics.0: it says neither `atMost` nor `atLeast`',
    ],
    ['a limit that is no number', { metrics: [{ name: 'x', query, atMost: NaN }] }, 'metrics.0.atMost: Invalid input'],
    [
      'two metrics of one name',
      {
        metrics: [
          { name: 'x', query, atMost: 1 },
          { name: 'x', query, atMost: 1 },
        ],
      },
      'metrics.1.name: the name x stands twice',
    ],
    [
      'a query without end',
      { metrics: [{ name: 'x', query: 'u'.repeat(2001), atMost: 1 }] },
      'metrics.0.query: Too big',
    ],
    [
      'a comparison that may always be wrong',
      { comparison: { maxFalseAlarmRate: 1, tolerance: 0 } },
      'comparison.maxFalseAlarmRate: Too big',
    ],
    [
      'a comparison that may never be wrong',
      { comparison: { maxFalseAlarmRate: 0, tolerance: 0 } },
      'comparison.maxFalseAlarmRate: Too small',
    ],
    [
      'a tolerance below zero',
      { comparison: { maxFalseAlarmRate: 0.1, tolerance: -0.1 } },
      'comparison.tolerance: Too small',
    ],
    [
      'a comparison without tolerance',
      { comparison: { maxFalseAlarmRate: 0.1 } },
      'comparison.tolerance: Invalid input',
    ],
    ['a rule misspelt', { comparision: {} }, 'comparision: unknown key, did you mean "comparison"?'],
  ];
  test.each(rules)('attack: names the line of %s among the triggers', (_, change, message) => {
    const { triggers } = policy.rollout;
    const text = stringify({ ...policy, rollout: { ...policy.rollout, triggers: { ...triggers, ...change } } });
    const [found = '', ...more] = problems(text);
    expect(more).toEqual([]);
    const [, at] = new RegExp(`^policy\\.yaml:(\\d+):\\d+ rollout\\.triggers\\.${escaped(message)}`).exec(found) ?? [
      found,
    ];
    const lines = text.split('\n');
    expect(Number(at)).toBeGreaterThan(lines.indexOf('  triggers:') + 1);
    expect(Number(at)).toBeLessThanOrEqual(lines.findIndex((line) => line.startsWith('  stepTimeoutSeconds')));
  });

  const twins: [string, string, string][] = [
    ['an o for a zero', 'oscar', '0scar'],
    ['an l for a one', 'olga', 'o1ga'],
  ];
  test.each(twins)('attack: two ids that differ in %s are refused', (_, id, twin) => {
    const text = YAML.replace('id: bob', `id: ${twin}`);
    expect(problems(text)).toContainEqual(expect.stringMatching(new RegExp(`the ids \\w+ and \\w+ look the same`)));
    expect(problems(text).join()).toContain(id);
  });

  test.each([
    ['in capitals', 'Alice'],
    ['with a Cyrillic letter', '\u0430lice'],
    ['full width', '\uff41lice'],
    ['with an invisible letter', '"al\u200bice"'],
    ['with a combining accent', '"alice\u0301"'],
    ['with a space', '"alice "'],
    ['with a dot at its end', 'alice.'],
    ['that begins with a dash', '-alice'],
    ['with a line break', '"alice\\n"'],
  ])('attack: an id %s is none', (_, id) => {
    expect(problems(YAML.replace('id: bob', `id: ${id}`))).toContainEqual(
      expect.stringMatching(/^policy\.yaml:\d+:\d+ authorities\.3\.id: lower-case letters, digits/),
    );
  });

  const syntax: [string, string, string][] = [
    ['a key twice', `${YAML}version: 2\n`, 'Map keys must be unique'],
    [
      'an alias',
      YAML.replace('version: 1', 'version: &v 1\nrootThreshold: *v').replace('rootThreshold: 2\n', ''),
      'the alias *v',
    ],
    ['a bomb of aliases', 'a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]', 'the alias *a'],
    ['an alias to itself', 'a: &a [*a]', 'the alias *a'],
    ['a tag', YAML.replace('version: 1', 'version: !!js 1'), 'Unresolved tag'],
    ['a tab', `\t${YAML}`, 'Tabs are not allowed as indentation'],
    ['two documents', `${YAML}---\n${YAML}`, 'Source contains multiple documents'],
    ['a merge key', `<<: {}\n${YAML}`, '<<: unknown key'],
    ['a key that reaches a prototype', `__proto__: {}\n${YAML}`, 'the key "__proto__" is not allowed'],
    ['a constructor', YAML.replace('rollback:', 'rollback:\n  constructor: 1'), 'the key "constructor" is not allowed'],
    ['a byte-order mark', `\ufeff${YAML}`, 'a byte-order mark: save the file as UTF-8 without one'],
    ['lists without end', '['.repeat(200_000), ''],
    ['a file without end', `# ${'x'.repeat(5 * 1024 * 1024)}`, 'larger than 4194304 bytes'],
    ['a key that is a map', `? {a: 1}\n: 2\n${YAML}`, 'a key must be plain text'],
    ['nothing', '', 'Invalid input: expected object'],
    ['a list', '- 1', 'Invalid input: expected object'],
  ];
  test.each(syntax)('refuses %s, and says where', (_, text, message) => {
    expect(problems(text)).toContainEqual(
      expect.stringMatching(new RegExp(`^policy\\.yaml:\\d+:\\d+ ${escaped(message)}`)),
    );
  });

  test('is read with Windows line ends', () => {
    expect(parsePolicyYaml(YAML.replaceAll('\n', '\r\n'), 'policy.yaml').value).toEqual(policy);
  });
});

function problems(text: string): readonly string[] {
  try {
    parsePolicyYaml(text, 'policy.yaml');
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    return (error as Error).message.split('\n');
  }
  return expect.fail('the policy was accepted');
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
