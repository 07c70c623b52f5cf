import { describe, expect, test } from 'vitest';
import type { Noticed } from '../../../domain/ending-predicates.js';
import type { ErrorCode } from '../../../domain/errors.js';
import { nextLook, reminderDue, unanswered } from '../../../domain/notice.js';
import type { AcknowledgementPredicate, RequestPredicate, WaiverPredicate } from '../../../domain/statements.js';
import { verifyRetirement } from '../../../formats/evidence.js';
import { denial, verdictsOf } from '../../support/verdicts.js';
import { createWorld, type Signed } from '../../support/world.js';

const world = createWorld({
  policy: (p) => ({ ...p, retirement: { noticeSeconds: 10, waiver: 'security-authority' } }),
});
const { at } = world;
const release = world.release();
const verdicts = verdictsOf(world, at(0));

const told = (change: Partial<Noticed> = {}): Noticed => ({
  ...{ id: 'checkout', owner: 'carla', criticality: 'critical', how: 'mail', messageId: '<1@custody>' },
  ...change,
});
const CONSUMERS = [
  told(),
  told({ id: 'nightly', criticality: 'low' }),
  told({ id: 'cron', owner: null, criticality: null }),
];

type Asked = Signed<RequestPredicate>;
type Options = NonNullable<Parameters<typeof world.retirement>[1]>;
type Signers = Parameters<typeof world.statement>[3];
const subject = { name: 'lifecycle/digits/1.0.0', sha256: release.release };
const said = (asked: Asked, change: Partial<AcknowledgementPredicate>): AcknowledgementPredicate => ({
  ...{ environment: 'test', ...release.name, consumer: 'checkout', request: asked.digest, issuedAt: at(-15) },
  ...change,
});
const acknowledged =
  (
    change: Partial<AcknowledgementPredicate> = {},
    by: Signers = 'carla',
    about = subject,
  ): Options['acknowledgements'] =>
  (asked) => [world.statement('acknowledgement', about, said(asked, change), by)];
const waived =
  (change: Partial<WaiverPredicate> = {}, by: Signers = 'sam'): Options['waivers'] =>
  (asked) => [world.statement('waiver', subject, { ...said(asked, change), reason: 'it is gone', ...change }, by)];
const destruction = (options: Options) =>
  verdicts.destruction(world.retirement(release, { notice: { consumers: CONSUMERS }, ...options }).evidence);

describe('a release whose notice period is over', () => {
  test('waits for the consumers that must acknowledge it, and for no others', () => {
    expect(destruction({})).toEqual(denial('PENDING', /^checkout must acknowledge it first/));
    expect(destruction({ ...given('acknowledgements', acknowledged()) })).toMatchObject({ allowed: true });
    expect(destruction({ ...given('waivers', waived()) })).toMatchObject({ allowed: true });
  });

  test('waits for those who were told later, too', () => {
    const later: Options['laterNotices'] = (asked) => [
      world.statement('notice', subject, noticeTo(asked, [told({ id: 'billing' })]), 'control'),
    ];
    expect(destruction({ laterNotices: later, ...given('acknowledgements', acknowledged()) })).toEqual(
      denial('PENDING', /^billing must acknowledge/),
    );
  });

  test('attack: a later notice by anybody but control neither keeps it nor lets anybody answer', () => {
    const forged: Options['laterNotices'] = (asked) => [
      world.statement('notice', subject, noticeTo(asked, [told({ id: 'billing' }), told({ owner: 'oscar' })]), 'oscar'),
    ];
    expect(destruction({ laterNotices: forged, ...given('acknowledgements', acknowledged()) })).toMatchObject({
      allowed: true,
    });
    expect(destruction({ laterNotices: forged, ...given('acknowledgements', acknowledged({}, 'oscar')) })).toEqual(
      denial('PENDING', /^checkout must/),
    );
  });

  const attacks: [string, Options, ErrorCode][] = [
    ['somebody else has acknowledged', given('acknowledgements', acknowledged({}, 'oscar')), 'PENDING'],
    [
      'its owner has acknowledged for another',
      given('acknowledgements', acknowledged({ consumer: 'nightly' })),
      'PENDING',
    ],
    ['another release was acknowledged', given('acknowledgements', acknowledged({ version: '2.0.0' })), 'PENDING'],
    [
      'the statement is about other bytes',
      given('acknowledgements', acknowledged({}, 'carla', { ...subject, sha256: 'f'.repeat(64) })),
      'PENDING',
    ],
    [
      'an earlier retirement was acknowledged',
      given('acknowledgements', acknowledged({ request: 'a'.repeat(64) })),
      'PENDING',
    ],
    [
      'it was acknowledged in another environment',
      given('acknowledgements', acknowledged({ environment: 'prod' })),
      'PENDING',
    ],
    [
      'the acknowledgement is dated in the future',
      given('acknowledgements', acknowledged({ issuedAt: at(600) })),
      'PENDING',
    ],
    ['its own owner has waived it', given('waivers', waived({}, 'carla')), 'PENDING'],
    ['an operator has waived it', given('waivers', waived({}, 'oscar')), 'PENDING'],
    ['control has waived it', given('waivers', waived({}, 'control')), 'PENDING'],
    ['another consumer was waived', given('waivers', waived({ consumer: 'nightly' })), 'PENDING'],
  ];
  test.each(attacks)('attack: is not destroyed where %s', (_, options, code) => {
    expect(destruction(options)).toEqual(denial(code, /^checkout must acknowledge it first/));
  });

  test('attack: whoever asked for it cannot waive what stands in its way', () => {
    const both = createWorld({
      policy: (p) => ({
        ...p,
        retirement: { noticeSeconds: 10, waiver: 'security-authority' },
        authorities: p.authorities.map((held) =>
          held.id === 'sam' ? { ...held, roles: [...held.roles, 'requester'] } : held,
        ),
      }),
    });
    const { evidence } = both.retirement(both.release(), {
      requestBy: 'sam',
      notice: { consumers: CONSUMERS },
      waivers: (asked) => [
        both.statement(
          'waiver',
          { ...subject, sha256: both.release().release },
          { ...said(asked, {}), reason: 'mine' },
          'sam',
        ),
      ],
    });
    expect(verdictsOf(both).destruction(evidence)).toEqual(denial('PENDING', /^checkout must/));
  });

  test('without somebody designated nobody can waive', () => {
    const strict = createWorld({ policy: (p) => ({ ...p, retirement: { noticeSeconds: 10 } }) });
    const { evidence } = strict.retirement(strict.release(), {
      notice: { consumers: CONSUMERS },
      waivers: (asked) => [strict.statement('waiver', subject, { ...said(asked, {}), reason: 'gone' }, 'sam')],
    });
    expect(verdictsOf(strict).destruction(evidence)).toEqual(denial('PENDING', /^checkout must/));
  });
});

describe('the times of a notice', () => {
  const slow = createWorld({ policy: (p) => ({ ...p, retirement: { noticeSeconds: 100, remindSeconds: [10, 50] } }) });
  const made = slow.release();
  const standing = (now: number, options: Options = {}) => {
    const notice = { issuedAt: slow.at(0), retiresAt: slow.at(100), ...options.notice };
    const { evidence } = slow.retirement(made, { ...options, notice });
    const { retirement, rules } = verifyRetirement(evidence, slow.root, slow.at(now));
    const notices = [retirement.notice, ...retirement.laterNotices].filter((each) => each !== null);
    return [{ ...retirement, name: made.name, notices }, rules] as const;
  };
  const due = (now: number, options?: Options): string | null => reminderDue(...standing(now, options));
  const look = (now: number, options?: Options): string | null => nextLook(...standing(now, options));
  const at = slow.at;

  test('a reminder is due from its time on, and none before the first', () => {
    expect([due(49), due(50), due(89), due(90), due(120)]).toEqual([null, at(50), at(50), at(90), at(90)]);
  });

  test('one that would come before the notice itself is left out', () => {
    expect(due(64, { notice: { issuedAt: at(60), retiresAt: at(100) } })).toBeNull();
  });

  test('there is something to do at each reminder, at the end, and never again', () => {
    expect([look(0), look(50), look(90), look(100)]).toEqual([at(50), at(90), at(100), null]);
  });

  const missed: Options = { notice: { consumers: [told({ how: 'failed', messageId: null, criticality: 'low' })] } };
  const later =
    (retiresAt: string): Options['laterNotices'] =>
    (asked) => {
      const to = { name: 'lifecycle/digits/1.0.0', sha256: made.release };
      const consumers = [told({ criticality: 'low' })];
      const said = { environment: 'test', ...made.name, consumers, retiresAt, request: asked.digest, issuedAt: at(40) };
      return [slow.statement('notice', to, said, 'control')];
    };

  test('whom no way reached is tried again, ever less often, and must answer until then', () => {
    expect(look(95, missed)).toBe(at(100));
    expect(look(100, missed)).toBe(at(400));
    expect(look(3 * 86_400, missed)).toBe(at(4 * 86_400));
    expect(unanswered(...standing(200, missed))).toEqual(['checkout']);
  });

  test('whoever was reached later has the whole period from then on', () => {
    const options = { ...missed, ...given('laterNotices', later(at(140))) };
    expect(unanswered(...standing(101, options))).toEqual([]);
    expect([look(101, options), look(135, options), look(140, options)]).toEqual([at(130), at(140), null]);
    const destruction = (now: number) =>
      verdictsOf(slow, at(now)).destruction(
        slow.retirement(made, { ...options, notice: { ...options.notice, issuedAt: at(0), retiresAt: at(100) } })
          .evidence,
      );
    expect(destruction(139)).toEqual(denial('PENDING', /the notice period ends at/));
    expect(destruction(140)).toMatchObject({ allowed: true });
  });
});

function given<K extends 'acknowledgements' | 'waivers' | 'laterNotices'>(key: K, value: Options[K]): Options {
  return value === undefined ? {} : { [key]: value };
}

function noticeTo(asked: Asked, consumers: readonly Noticed[]) {
  const usual = { environment: 'test', ...release.name, retiresAt: at(-10), request: asked.digest, issuedAt: at(-12) };
  return { ...usual, consumers };
}
