import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Authority } from '../../../domain/policy.js';
import { parsePolicyYaml } from '../../../formats/policy.js';
import { createWorld, PIPELINE } from '../../support/world.js';

const { policy, pems } = createWorld();
const key = { pem: pems.mallory.publicPem };

/** The policy with `pipeline` changed, and others beside it, as it is read from YAML. */
function read(change: object, ...others: object[]): unknown {
  const authorities = policy.authorities.map((held) => (held.id === 'pipeline' ? { ...held, ...change } : held));
  return parsePolicyYaml(stringify({ ...policy, authorities: [...authorities, ...others] }), 'policy.yaml');
}
const withOidc = (change: object): unknown => read({ oidc: { ...PIPELINE, ...change } });
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) as string });

describe('a workload that is known by its tokens', () => {
  test('needs no key, and may leave out the list of them', () => {
    const yaml = stringify(policy).replace('    keys: []\n', '');
    expect(yaml).not.toContain('keys: []');
    expect(parsePolicyYaml(yaml, 'policy.yaml').value).toEqual(policy);
  });

  test('may have a key besides', () => {
    expect(() => read({ keys: [key] })).not.toThrow();
  });

  test.each<[string, object, RegExp]>([
    ['no claim is pinned', { claims: {} }, /at least one claim/],
    ['an issuer without TLS', { issuer: 'http://tokens.example' }, /https/],
    ['an issuer that only looks like this host', { issuer: 'http://127.0.0.1.evil.example' }, /https/],
    ['an issuer with a query', { issuer: 'https://tokens.example?x' }, /https/],
    ['an issuer with a password', { issuer: 'https://a:b@tokens.example' }, /https/],
    ['no issuer', { issuer: '' }, /policy\.yaml/],
    ['no audience', { audience: '' }, /policy\.yaml/],
    ['a claim that is no text', { claims: { sub: ['a'] } }, /policy\.yaml/],
    ['a claim that differs from token to token', { claims: { sub: 'a', jti: 'b' } }, /cannot be pinned/],
    ['the audience among the claims', { claims: { aud: 'custody' } }, /cannot be pinned/],
    [
      'a claim that reaches a prototype',
      {
        claims: Object.fromEntries([
          ['sub', 'a'],
          ['__proto__', 'b'],
        ]),
      },
      /__proto__/,
    ],
    ['a pattern that nobody reads', { pattern: '*' }, /pattern/],
  ])('attack: is refused with %s', (_, change, message) => {
    expect(() => withOidc(change)).toThrow(refused(message));
  });

  test('is accepted with an issuer on this host', () => {
    expect(() => withOidc({ issuer: 'http://127.0.0.1:8080' })).not.toThrow();
  });

  test.each<[string, Partial<Authority>]>([
    ['a workload that may not ask', { roles: ['producer'] }],
    ['a person', { kind: 'person', roles: ['requester'] }],
  ])('attack: %s cannot be known by tokens', (_, change) => {
    expect(() => read(change)).toThrow(refused(/a token can only ask/));
  });

  test('attack: no other token could be its own: two of one issuer differ in a claim that both pin', () => {
    const twin = { id: 'twin', kind: 'workload', roles: ['requester'] };
    const other = (claims: object): object => ({ ...twin, oidc: { ...PIPELINE, claims } });
    expect(() => read({}, other({ repository: 'acme/digits' }))).toThrow(
      refused(/a token of pipeline could be its own/),
    );
    expect(() => read({}, other({ ...PIPELINE.claims }))).toThrow(refused(/could be its own/));
    expect(() => read({}, other({ sub: 'repo:acme/other:ref:refs/heads/main' }))).not.toThrow();
  });

  test('is refused where nobody could vouch for it', () => {
    const authorities = policy.authorities.filter(({ id }) => id !== 'api');
    const yaml = stringify({ ...policy, authorities });
    expect(() => parsePolicyYaml(yaml, 'policy.yaml')).toThrow(refused(/nobody holds the role `api`/));
  });
});

test('attack: who has neither key nor tokens is refused', () => {
  const bare: Authority = { id: 'pipeline', kind: 'workload', roles: ['requester'], keys: [] };
  const authorities = policy.authorities.map((held) => (held.id === 'pipeline' ? bare : held));
  const yaml = stringify({ ...policy, authorities });
  expect(() => parsePolicyYaml(yaml, 'policy.yaml')).toThrow(refused(/it has no key/));
});

test('attack: the api cannot hold another role beside its own, nor a person the role api', () => {
  const beside = (change: object): string =>
    stringify({
      ...policy,
      authorities: policy.authorities.map((held) => (held.id === 'api' ? { ...held, ...change } : held)),
    });
  for (const role of ['requester', 'control', 'producer'])
    expect(() => parsePolicyYaml(beside({ roles: ['api', role] }), 'policy.yaml')).toThrow(refused(/no other role/));
  expect(() => parsePolicyYaml(beside({ kind: 'person' }), 'policy.yaml')).toThrow(refused(/workload role/));
});
