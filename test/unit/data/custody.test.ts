import { describe, expect, it } from 'vitest';
import { authoriseData, type DataSourcePredicate, type HandoverPredicate } from '../../../domain/data-source.js';
import type { Digest } from '../../../domain/digest.js';
import type { Verified } from '../../../domain/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { createWorld, type KeyName } from '../../support/world.js';

const world = createWorld();
const { at } = world;
const DATA = sha256('a list of files');
const rules = { environment: 'test', newest: world.policy, now: at(0) };

type Link = Partial<HandoverPredicate> & { readonly by?: KeyName; readonly data?: Digest };

function handover(from: string, to: string, seconds: number, change: Link = {}): Verified<HandoverPredicate> {
  const { by = from as KeyName, data = DATA, ...said } = change;
  const predicate: HandoverPredicate = {
    ...{
      environment: 'test',
      source: 'digits',
      from,
      to,
      previous: null,
      reason: 'for training',
      issuedAt: at(seconds),
    },
    ...said,
  };
  const { envelope } = world.statement('handover', { name: 'data/digits', sha256: data }, predicate, by);
  return verifyStatement(envelope, 'handover', keyRing(world.policy));
}

/** Each follows the one before it, unless it says something else. */
function chainOf(...steps: readonly (readonly [string, string, number, Link?])[]): Verified<HandoverPredicate>[] {
  const links: Verified<HandoverPredicate>[] = [];
  for (const [from, to, seconds, change] of steps)
    links.push(handover(from, to, seconds, { previous: links.at(-1)?.digest ?? null, ...change }));
  return links;
}

function judged(
  links: readonly Verified<HandoverPredicate>[],
  {
    by = 'dora',
    found = links,
    ...said
  }: Partial<DataSourcePredicate> & {
    readonly by?: KeyName;
    readonly found?: readonly Verified<HandoverPredicate>[];
  } = {},
): string {
  const predicate: DataSourcePredicate = {
    ...{
      environment: 'test',
      source: 'digits',
      publisher: 'archive',
      licence: 'CC0-1.0',
      origin: 'https://example.org',
    },
    ...{ files: 1, croissant: null, chain: links.map(({ digest }) => digest), issuedAt: at(-10) },
    ...said,
  };
  const { envelope } = world.statement('dataSource', { name: 'data/digits', sha256: DATA }, predicate, by);
  const source = verifyStatement(envelope, 'dataSource', keyRing(world.policy));
  const permission = authoriseData({ source, links: found }, rules);
  return permission.allowed ? `by ${permission.approvers.join(', ')}` : `${permission.code}: ${permission.reason}`;
}

const CHAIN = chainOf(['archive', 'dana', -40], ['dana', 'dora', -30]);
const [FIRST, SECOND] = CHAIN as [Verified<HandoverPredicate>, Verified<HandoverPredicate>];

describe('data may be used', () => {
  it('that have come from their publisher to whoever vouches for them, hand by hand', () => {
    expect(judged(CHAIN)).toBe('by dora');
  });

  it('that their publisher vouches for itself', () => {
    expect(judged([], { by: 'archive' })).toBe('by archive');
  });
});

describe('attack: a chain of custody', () => {
  it.each<[string, () => string, RegExp]>([
    ['whose publisher nobody trusts', () => judged([], { publisher: 'dora' }), /^NOT_AUTHORISED: dora is no publisher/],
    [
      'that whoever holds the data has not signed',
      () => judged(CHAIN, { by: 'dana' }),
      /^NOT_AUTHORISED: dora has them/,
    ],
    [
      'without its first handover',
      () => judged([SECOND]),
      /^CUSTODY_BROKEN: handover 1: dana gives what archive has: there is a gap/,
    ],
    [
      'with a handover in between that is missing',
      () => judged(chainOf(['archive', 'dana', -40], ['dora', 'dana', -30])),
      /there is a gap/,
    ],
    [
      'of which the store has not all',
      () => judged(CHAIN, { found: [FIRST] }),
      /^CUSTODY_BROKEN: handover 2 of 2 is missing/,
    ],
    [
      'in another order than it says',
      () => judged(CHAIN, { found: [SECOND, FIRST] }),
      /^CUSTODY_BROKEN: handover 1 of 2 is missing/,
    ],
    ['with one handover more', () => judged([FIRST], { by: 'dana', found: CHAIN }), /^CUSTODY_BROKEN/],
    [
      'that goes round',
      () => judged(chainOf(['archive', 'dana', -40], ['dana', 'dora', -30], ['dora', 'dana', -20]), { by: 'dana' }),
      /it goes round: dana had them before/,
    ],
    [
      'that comes back to the publisher',
      () => judged(chainOf(['archive', 'dana', -40], ['dana', 'archive', -30]), { by: 'archive' }),
      /it goes round: archive/,
    ],
    [
      'with a handover of other data',
      () => judged(chainOf(['archive', 'dora', -40, { data: sha256('others') }])),
      /it is of other data/,
    ],
    [
      'with a handover of data of another name',
      () => judged(chainOf(['archive', 'dora', -40, { source: 'letters' }])),
      /it is of other data/,
    ],
    [
      'with a handover that follows another',
      () => judged(chainOf(['archive', 'dana', -40], ['dana', 'dora', -30, { previous: DATA }])),
      /follows another one/,
    ],
    [
      'with a handover that who receives has signed',
      () => judged(chainOf(['archive', 'dora', -40, { by: 'dora' }])),
      /dora has signed it, not archive/,
    ],
    [
      'through the hands of somebody with another role',
      () => judged(chainOf(['archive', 'alice', -40], ['alice', 'dora', -30])),
      /alice is no publisher or data steward/,
    ],
    [
      'through the hands of nobody',
      () => judged(chainOf(['archive', 'nobody', -40])),
      /nobody is no publisher or data steward/,
    ],
    [
      'whose times go back',
      () => judged(chainOf(['archive', 'dana', -30], ['dana', 'dora', -40])),
      /it was before the one before it/,
    ],
    [
      'that was vouched for before the data came',
      () => judged(CHAIN, { issuedAt: at(-35) }),
      /signed before the data came/,
    ],
    ['that is vouched for in days to come', () => judged(CHAIN, { issuedAt: at(3600) }), /^EXPIRED/],
    ['of another environment', () => judged(CHAIN, { environment: 'prod' }), /^REPLAYED: it is for environment prod/],
    [
      'with a handover in another environment',
      () => judged(chainOf(['archive', 'dora', -40, { environment: 'prod' }])),
      /^REPLAYED: handover 1/,
    ],
  ])('%s is refused', (_, judge, why) => {
    expect(judge()).toMatch(why);
  });
});
