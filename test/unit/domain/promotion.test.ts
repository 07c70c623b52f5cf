import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../domain/errors.js';
import type { Authority, Policy } from '../../../domain/policy.js';
import { diffPolicies } from '../../../domain/policy-diff.js';
import { verifierId } from '../../../domain/promotion.js';
import { parsePolicyYaml } from '../../../formats/policy.js';
import { generateKey } from '../../../formats/keys.js';
import { checksToLoad, verifyRelease } from '../../../formats/evidence.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, type ReleaseOptions } from '../../support/world.js';

const HOUR = 3600;
const demanding = (policy: Policy): Policy => ({ ...policy, promotion: { from: 'before', maxAgeSeconds: HOUR } });
const world = createWorld({ policy: demanding });
const { at, policy, policyEnvelope } = world;
const verdicts = verdictsOf(world);
const other = world.release({ version: '2.0.0' });
/** The same bytes under another name can be no other release: the manifest names it. */
const good = world.release({ promotion: (made) => world.summary(made) });

type Change = Parameters<typeof world.summary>[1];
const summed =
  (change: Change = {}, by?: Parameters<typeof world.summary>[2]): ReleaseOptions['promotion'] =>
  (made) =>
    world.summary(made, change, by);

/** The same world, and its verifier's key with other bounds. */
const bounded = (bounds: { validUntil?: string; validFrom?: string }): ReturnType<typeof createWorld> =>
  createWorld({
    policy: (p) =>
      demanding({
        ...p,
        authorities: p.authorities.map((held) =>
          held.id === 'test-signer' ? { ...held, keys: held.keys.map((key) => ({ ...key, ...bounds })) } : held,
        ),
      }),
  });

describe('a release from another environment', () => {
  test('may be signed and loaded with the summary of its verifier, and the check is listed', () => {
    expect(verdicts.signing(good.evidence)).toMatchObject({ allowed: true });
    expect(verdicts.loading(good.evidence)).toMatchObject({ allowed: true });
    const checks = checksToLoad(verifyRelease(good.evidence, world.root, at(0)));
    expect(checks.find(({ name }) => name === 'promotion')?.detail).toBe(
      `urn:custody:verifier:before verified it at ${at(-60)}, by test-signer`,
    );
  });

  test('is judged by the age that its summary had when deployment was asked for, not by that of today', () => {
    const oldest = summed({ timeVerified: at(-40 - HOUR) });
    const { evidence } = world.release({ request: { issuedAt: at(-40) }, ...(oldest && { promotion: oldest }) });
    expect(verdictsOf(world, at(50)).signing(evidence)).toMatchObject({ allowed: true });
  });

  test('without a rule, releases come in as before, and nothing is listed of them', () => {
    const open = createWorld();
    expect(verdictsOf(open).loading(open.release().evidence)).toMatchObject({ allowed: true });
  });

  type Attack = [how: string, options: ReleaseOptions, code: ErrorCode, reason: RegExp];
  const attack = (how: string, promotion: ReleaseOptions['promotion'], code: ErrorCode, reason: RegExp): Attack => [
    how,
    promotion === undefined ? {} : { promotion },
    code,
    reason,
  ];
  const attacks: Attack[] = [
    attack('without a summary', undefined, 'POLICY_REFUSED', /only with a verification summary of environment before/),
    attack('with that of another release', () => world.summary(other), 'REPLAYED', /about another release/),
    attack(
      'with that of another version, about these bytes',
      summed({ resourceUri: 'lifecycle/digits/2.0.0' }),
      'REPLAYED',
      /about another release \(lifecycle\/digits\/2\.0\.0\)/,
    ),
    attack(
      'of another environment',
      summed({ verifier: { id: verifierId('dev') } }),
      'REPLAYED',
      /verifier:dev, not of/,
    ),
    attack(
      'of this environment',
      summed({ verifier: { id: verifierId('test') } }),
      'REPLAYED',
      /verifier:test, not of/,
    ),
    attack(
      'by its own release signer',
      summed({}, 'release-signer'),
      'NOT_AUTHORISED',
      /release-signer may not verify/,
    ),
    attack('by control', summed({}, 'control'), 'NOT_AUTHORISED', /control may not verify/),
    attack('by its producer', summed({}, 'trainer'), 'NOT_AUTHORISED', /trainer may not verify/),
    attack('by a validator', summed({}, 'intake'), 'NOT_AUTHORISED', /intake may not verify/),
    attack('by somebody who approves', summed({}, 'alice'), 'NOT_AUTHORISED', /alice may not verify/),
    attack('that FAILED', summed({ verificationResult: 'FAILED' }), 'POLICY_REFUSED', /has not found that/),
    attack('with the level FAILED', summed({ verifiedLevels: ['FAILED'] }), 'POLICY_REFUSED', /has not found that/),
    attack('with no level', summed({ verifiedLevels: [] }), 'POLICY_REFUSED', /has not found that/),
    attack('that is too old', summed({ timeVerified: at(-41 - HOUR) }), 'EXPIRED', /older than 3600 s/),
    attack('that is to come', summed({ timeVerified: at(HOUR) }), 'EXPIRED', /which is to come/),
  ];
  test.each(attacks)('attack: is refused %s', (_, options, code, reason) => {
    const { evidence } = world.release({ request: { issuedAt: at(-40) }, ...options });
    expect(verdicts.signing(evidence)).toEqual(denial(code, reason));
    expect(verdicts.loading(evidence)).toEqual(denial(code, reason));
  });

  test('attack: a summary by a stranger, and an edited one, are no evidence at all', () => {
    const foreign = world.release({ promotion: (made) => world.summary(made, {}, 'mallory') });
    expect(() => verdicts.signing(foreign.evidence)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
    const failed = world.release({ promotion: (made) => world.summary(made, { verificationResult: 'FAILED' }) });
    const { promotion } = failed.evidence;
    if (promotion === null) throw new Error('it has a summary');
    const payload = Buffer.from(promotion.payload, 'base64').toString('utf8').replace('"FAILED"', '"PASSED"');
    const forged = { ...promotion, payload: Buffer.from(payload).toString('base64') };
    expect(() => verdicts.signing({ ...failed.evidence, promotion: forged })).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_INVALID' }),
    );
  });

  test('attack: a summary that the approved request does not name, and none where it names one, are refused', () => {
    const swapped = { ...good.evidence, promotion: world.summary(good, { timeVerified: at(-50) }).envelope };
    expect(verdicts.loading(swapped)).toEqual(denial('REPLAYED', /names another verification summary/));
    expect(verdicts.loading({ ...good.evidence, promotion: null })).toEqual(denial('REPLAYED', /names another/));
    const bare = world.release();
    expect(verdicts.loading({ ...bare.evidence, promotion: good.evidence.promotion })).toEqual(
      denial('REPLAYED', /names another/),
    );
  });

  test('attack: the key of a verifier that had ended, or had not begun, when deployment was asked for', () => {
    for (const bounds of [{ validUntil: at(-3600) }, { validFrom: at(3600) }]) {
      const late = bounded(bounds);
      const { evidence } = late.release({ promotion: (made) => late.summary(made) });
      expect(() => verdictsOf(late).signing(evidence)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
    }
  });

  test('attack: a verifier that the newest policy lists no more, or in no such role', () => {
    const fresh: Authority = {
      ...{ id: 'another', kind: 'workload', roles: ['verifier'] },
      keys: [{ pem: generateKey('ed25519').publicPem }],
    };
    const after = (edit: (held: Authority) => readonly Authority[]) => ({
      ...good.evidence,
      policies: [
        policyEnvelope,
        world.nextPolicy((p) => ({
          ...p,
          authorities: p.authorities.flatMap((held) => (held.id === 'test-signer' ? [...edit(held), fresh] : [held])),
        })).envelope,
      ],
    });
    const gone = after(() => []);
    expect(() => verdicts.loading(gone)).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
    const demoted = after((held) => [{ ...held, roles: ['publisher'] }]);
    expect(verdicts.loading(demoted)).toEqual(denial('NOT_AUTHORISED', /test-signer may not verify/));
  });

  test('attack: a summary where the policy takes nothing over lets nothing in', () => {
    const open = createWorld();
    const { evidence } = open.release({ promotion: (made) => open.summary(made) });
    expect(verdictsOf(open).signing(evidence)).toEqual(denial('POLICY_REFUSED', /from no other environment/));
  });
});

describe('the rule', () => {
  const problems = (edit: (p: Policy) => Policy): string => {
    try {
      parsePolicyYaml(JSON.stringify(edit(policy)), 'policy.yaml');
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('names another environment than its own, and somebody who verifies there and does nothing here', () => {
    expect(problems((p) => p)).toBe('');
    expect(problems((p) => ({ ...p, promotion: { from: 'test' } }))).toMatch(/no environment is before itself/);
    const without = (p: Policy): Policy => ({
      ...p,
      authorities: p.authorities.filter(({ roles }) => !roles.includes('verifier')),
    });
    expect(problems(without)).toMatch(/nobody holds the role verifier/);
    for (const role of ['release-signer', 'control', 'producer', 'validator'] as const)
      expect(
        problems((p) => ({
          ...p,
          authorities: p.authorities.map((held) =>
            held.id === 'test-signer' ? { ...held, roles: ['verifier', role] } : held,
          ),
        })),
        role,
      ).toMatch(/may do nothing in this one/);
  });

  test('attack: the key that signs releases here cannot be enrolled as a verifier, too', () => {
    const pem = world.pems['release-signer'].publicPem;
    const twice = (p: Policy): Policy => ({
      ...p,
      authorities: [...p.authorities, { id: 'own', kind: 'workload', roles: ['verifier'], keys: [{ pem }] }],
    });
    expect(problems(twice)).toMatch(/already release-signer's/);
  });

  test('is weaker when it goes, names another environment, or allows an older summary', () => {
    const { promotion, ...without } = policy;
    expect(promotion).toBeDefined();
    const weakens = (from: Policy, to: Policy): string[] =>
      diffPolicies(from, to).flatMap(({ path, weakens: is }) => (is ? [path] : []));
    expect(weakens(without, policy)).toEqual([]);
    expect(weakens(policy, without)).toEqual(['promotion.from', 'promotion.maxAgeSeconds']);
    expect(weakens(policy, { ...policy, promotion: { from: 'before' } })).toEqual(['promotion.maxAgeSeconds']);
    expect(weakens({ ...policy, promotion: { from: 'before' } }, policy)).toEqual([]);
    expect(weakens(policy, { ...policy, promotion: { from: 'dev', maxAgeSeconds: HOUR } })).toEqual(['promotion.from']);
    const longer = { from: 'before', maxAgeSeconds: HOUR + 1 };
    expect(weakens(policy, { ...policy, promotion: longer })).toEqual(['promotion.maxAgeSeconds']);
    const more: Authority = {
      ...{ id: 'another', kind: 'workload', roles: ['verifier'] },
      keys: [{ pem: generateKey('ed25519').publicPem }],
    };
    expect(weakens(policy, { ...policy, authorities: [...policy.authorities, more] })).toContain('authorities.another');
  });
});
