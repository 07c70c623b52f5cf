import { describe, expect, test } from 'vitest';
import {
  authoriseNewDeclaration,
  ConsumerRegistry,
  isEffective,
  stateOf,
  type ConsumerPredicate,
} from '../../../domain/consumers.js';
import type { Policy } from '../../../domain/policy.js';
import { plusSeconds } from '../../../domain/time.js';
import { readDeclaration, type Declaration } from '../../../formats/consumers.js';
import { verifyPolicies, type Policies } from '../../../formats/evidence.js';
import { sha256 } from '../../../formats/sha256.js';
import { createWorld, type Signers } from '../../support/world.js';

const world = createWorld();
const { at } = world;
const policies = verifyPolicies(world.root, [world.policyEnvelope]);
const TOKEN = { kind: 'token', sha256: sha256('a token') } as const;
const NOW = at(0);

const said = (
  overrides: Partial<ConsumerPredicate> = {},
  by: Signers = 'oscar',
  under: Policies = policies,
): Declaration => readDeclaration(world.consumer(overrides, by).envelope, under);

function registryOf(...declared: readonly Declaration[]): ConsumerRegistry<Declaration> {
  const registry = new ConsumerRegistry<Declaration>();
  for (const each of declared) registry.take(each);
  return registry;
}

/** `allowed`, or the code that it is refused with. */
function judge(next: Declaration, known = registryOf(), newest: Policy = world.policy): string {
  const verdict = authoriseNewDeclaration(next.verified, { environment: 'test', newest, known, now: NOW });
  return verdict.allowed ? 'allowed' : verdict.code;
}

describe('who may speak for a consumer', () => {
  test.each([
    ['an operator', 'oscar', 'allowed'],
    ['its owner, who has the role consumer', 'carla', 'allowed'],
  ] as const)('%s', (_, by, verdict) => expect(judge(said({}, by))).toBe(verdict));

  test.each([
    ['attack: another consumer’s owner', 'cesar'],
    ['attack: somebody who approves releases', 'alice'],
    ['attack: control', 'control'],
    ['attack: the gateway', 'gateway'],
  ] as const)('%s may not', (_, by) => expect(() => said({}, by)).toThrow(/may not speak for checkout/));

  test('attack: a stranger’s signature is none', () => {
    expect(() => said({}, 'mallory')).toThrow(expect.objectContaining({ code: 'SIGNATURE_INVALID' }));
  });

  test('attack: an owner takes over what is another one’s, by naming itself its owner', () => {
    const known = registryOf(said());
    expect(judge(said({ sequence: 2, owner: 'cesar' }, 'cesar'), known)).toBe('NOT_AUTHORISED');
    expect(judge(said({ sequence: 2, models: [], owner: 'cesar' }, 'cesar'), known)).toBe('NOT_AUTHORISED');
  });

  test('an operator gives a consumer to another owner, who then speaks for it, and the one before no more', () => {
    const given = said({ sequence: 2, owner: 'cesar' });
    expect(judge(given, registryOf(said()))).toBe('allowed');
    expect(judge(said({ sequence: 3, owner: 'cesar' }, 'cesar'), registryOf(given))).toBe('allowed');
    expect(judge(said({ sequence: 3 }, 'carla'), registryOf(given))).toBe('NOT_AUTHORISED');
  });

  test('an owner must be somebody in the policy', () => {
    expect(judge(said({ owner: 'nobody' }))).toBe('POLICY_REFUSED');
  });

  test('what somebody signed who is in the policy no more takes its number, and counts for nothing', () => {
    const gone = world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'oscar'),
    }));
    const after = verifyPolicies(world.root, [world.policyEnvelope, gone.envelope]);
    const old = said({ identities: [TOKEN] }, 'oscar', after);
    expect(old.counts).toBe(false);
    expect(stateOf(old, Date.parse(NOW))).toBe('void');
    const known = registryOf(old);
    expect(known.holder(`token ${TOKEN.sha256}`, Date.parse(NOW))).toBeNull();
    expect(judge(said({}, 'carla', after), known, gone.policy)).toBe('REPLAYED');
    expect(judge(said({ sequence: 2 }, 'carla', after), known, gone.policy)).toBe('allowed');
  });
});

describe('which statement is the newest', () => {
  test.each([
    ['the same number again, with other words', { sequence: 2, models: ['lingo'] }, 'REPLAYED'],
    ['an older one', { sequence: 1 }, 'REPLAYED'],
    ['the next one', { sequence: 3 }, 'allowed'],
    ['one that leaves some out', { sequence: 1002 }, 'allowed'],
    ['attack: one that uses up all numbers', { sequence: 999_999_999 }, 'POLICY_REFUSED'],
  ])('%s', (_, overrides, verdict) => {
    expect(judge(said(overrides), registryOf(said({ sequence: 2 })))).toBe(verdict);
  });

  test('attack: one of another environment', () => {
    expect(judge(said({ environment: 'prod' }))).toBe('REPLAYED');
  });

  test('attack: one that is to hold for ever', () => {
    expect(judge(said({ expiresAt: plusSeconds(NOW, 400 * 86_400) }))).toBe('POLICY_REFUSED');
  });

  test('a consumer is one until it expires or is removed', () => {
    const now = Date.parse(NOW);
    expect(isEffective(said(), now)).toBe(true);
    expect(isEffective(said({ expiresAt: at(-1) }), now)).toBe(false);
    expect(isEffective(said({ models: [] }), now)).toBe(false);
  });
});

describe('what a consumer is known by', () => {
  const known = (): ConsumerRegistry<Declaration> => registryOf(said({ identities: [TOKEN] }));
  const other = (overrides: Partial<ConsumerPredicate> = {}): Declaration =>
    said({ consumer: 'billing', owner: 'cesar', identities: [TOKEN], ...overrides }, 'cesar');

  test('attack: somebody else’s token is no other consumer’s', () => {
    expect(judge(other(), known())).toBe('POLICY_REFUSED');
    expect(known().holder(`token ${TOKEN.sha256}`, Date.parse(NOW))).toBe('checkout');
  });

  test('it is free once its holder has given it up, has been removed or has expired', () => {
    expect(judge(other(), registryOf(said({ identities: [TOKEN] }), said({ sequence: 2 })))).toBe('allowed');
    expect(judge(other(), registryOf(said({ identities: [TOKEN] }), said({ sequence: 2, models: [] })))).toBe(
      'allowed',
    );
    expect(judge(other(), registryOf(said({ identities: [TOKEN], expiresAt: at(-1) })))).toBe('allowed');
  });

  test('its own consumer keeps it in the next statement', () => {
    expect(judge(said({ sequence: 2, identities: [TOKEN] }), known())).toBe('allowed');
  });

  test.each(['checkOut'.toLowerCase().replace('o', '0'), 'check0ut'])(
    'attack: the id %s looks like checkout',
    (consumer) => {
      expect(judge(said({ consumer }), known())).toBe('POLICY_REFUSED');
    },
  );

  test('attack: an id that looks like one that was removed', () => {
    expect(judge(said({ consumer: 'check0ut' }), registryOf(said(), said({ sequence: 2, models: [] })))).toBe(
      'POLICY_REFUSED',
    );
  });
});

describe('what is signed is understood', () => {
  const flawed: [string, Partial<ConsumerPredicate>][] = [
    ['an address of a person', { contact: 'carla@example.com' }],
    ['an id in other letters', { consumer: 'chеckout' }],
    ['a model twice', { models: ['digits', 'digits'] }],
    ['an identity twice', { identities: [TOKEN, TOKEN] }],
    ['an identity of what was removed', { models: [], identities: [TOKEN] }],
    ['a subject with a control character', { identities: [{ kind: 'subject', subject: 'CN=a\nCN=b' }] }],
    ['a token itself', { identities: [{ kind: 'token', sha256: 'my-secret-token' }] }],
    ['a number below one', { sequence: 0 }],
  ];
  test.each(flawed)('%s is refused', (_, overrides) => {
    expect(() => said(overrides)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});
