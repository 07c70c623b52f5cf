import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CustodyError } from '../../../domain/errors.js';
import type { Policy } from '../../../domain/policy.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { keyRing, verifyStatement } from '../../../formats/statements.js';
import { sha256 } from '../../../formats/sha256.js';
import { ALERT_TOKEN, startRig, type Answer, type Rig } from './rig.js';

let rig: Rig;
let handed: { model: string; envelope: SignedEnvelope }[];
/** What keeps Temporal from taking an alert about this model. */
let trouble: (model: string) => CustodyError | null;

const courier = async (model: string, envelope: SignedEnvelope): Promise<void> => {
  const why = trouble(model);
  if (why !== null) throw why;
  handed.push({ model, envelope });
};

beforeEach(async () => {
  handed = [];
  trouble = () => null;
  rig = await startRig(null, { courier });
});
afterEach(() => rig.stop());

interface Told {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly status?: 'firing' | 'resolved';
  readonly startsAt?: string;
  readonly fingerprint?: string;
}

/** As the documentation of Alertmanager's webhook has it, version 4. */
function notification(...alerts: readonly Told[]): object {
  return {
    version: '4',
    groupKey: '{}/{severity="critical"}:{model="digits"}',
    truncatedAlerts: 0,
    status: alerts.every(({ status }) => status === 'resolved') ? 'resolved' : 'firing',
    receiver: 'custody',
    groupLabels: { model: 'digits' },
    commonLabels: { model: 'digits', severity: 'critical' },
    commonAnnotations: {},
    externalURL: 'http://alertmanager:9093',
    alerts: alerts.map((told) => ({
      status: 'firing',
      labels: { alertname: 'PromptLeak', model: 'digits', severity: 'critical' },
      annotations: { summary: 'answers contain the system prompt' },
      startsAt: '2026-11-28T10:00:00.000Z',
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: 'http://prometheus:9090/graph?g0.expr=leaks',
      fingerprint: 'c0ffee00c0ffee00',
      ...told,
    })),
  };
}

async function post(body: unknown, token: string | null = ALERT_TOKEN, headers = {}): Promise<Answer> {
  const answer = await fetch(`${rig.url}/v1/alerts`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer['body'] };
}
const said = () =>
  handed.map(({ envelope }) => verifyStatement(envelope, 'alert', keyRing(rig.policies.current.newest)));

describe('a firing alert', () => {
  test('is signed as a monitor, and handed to the endpoint of its model', async () => {
    expect(await post(notification({}))).toMatchObject({ status: 200, body: { signed: 1, known: 0, resolved: 0 } });
    expect(handed.map(({ model }) => model)).toEqual(['digits']);
    expect(said()).toMatchObject([
      {
        signers: ['siem'],
        predicate: {
          ...{ environment: 'test', model: 'digits', version: null, release: null, severity: 'critical' },
          reason: 'PromptLeak: answers contain the system prompt',
        },
      },
    ]);
    expect(await rig.metrics()).toContain('custody_api_alerts_signed_total{severity="critical"} 1');
  });

  const release = sha256('a release');
  const LABELS: [string, Record<string, string>, object][] = [
    ['a version', { model: 'digits', version: '1.1.0' }, { version: '1.1.0', release: null }],
    ['a digest', { model: 'digits', release }, { version: null, release }],
    ['empty labels', { model: 'digits', version: '', release: '' }, { version: null, release: null }],
    ['a warning', { model: 'digits', severity: 'warning' }, { severity: 'warning' }],
    ['information', { model: 'digits', severity: 'info' }, { severity: 'warning' }],
    ['a severity of their own', { model: 'digits', severity: 'page' }, { severity: 'critical' }],
    ['no severity', { model: 'digits' }, { severity: 'critical' }],
  ];
  test.each(LABELS)('says what its labels say: %s', async (_, labels, expected) => {
    await post(notification({ labels }));
    expect(said()).toMatchObject([{ predicate: expected }]);
  });

  test('is told once, however often it is posted, and again only when it fires anew', async () => {
    const posts = await Promise.all(Array.from({ length: 5 }, () => post(notification({}))));
    expect(posts.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    rig.pass(23 * 3_600_000);
    expect((await post(notification({}))).body).toMatchObject({ signed: 0, known: 1 });
    expect(handed).toHaveLength(1);
    await post(notification({ startsAt: '2026-11-28T12:00:00Z' }));
    await post(notification({ fingerprint: 'decafbad' }));
    expect(new Set(said().map(({ predicate }) => predicate.nonce)).size).toBe(3);
  });

  test('that was told by another process before has the same nonce, so that it counts once', async () => {
    await post(notification({}));
    const [before] = said();
    handed = [];
    await rig.stop();
    rig = await startRig(null, { courier });
    await post(notification({}));
    expect(said().at(-1)?.predicate.nonce).toBe(before?.predicate.nonce);
  });

  test('that Temporal does not take is told again when it is posted again', async () => {
    trouble = () => new CustodyError('TEMPORAL_UNAVAILABLE', 'Temporal does not take the alert');
    expect(await post(notification({}))).toMatchObject({ status: 503, body: { code: 'TEMPORAL_UNAVAILABLE' } });
    trouble = () => null;
    expect(await post(notification({}))).toMatchObject({ status: 200, body: { signed: 1 } });
  });

  test('is handed on although the policy has expired', async () => {
    await rig.stop();
    rig = await startRig(null, { courier, policy: (policy) => ({ ...policy, expires: '2026-01-01T00:00:00.000Z' }) });
    expect((await fetch(`${rig.url}/readyz`)).status).toBe(403);
    expect((await post(notification({}))).status).toBe(200);
    expect(handed).toHaveLength(1);
  });
});

describe('attack:', () => {
  test('a resolved alert does nothing', async () => {
    const answer = await post(notification({ status: 'resolved' }, { status: 'resolved', fingerprint: 'another' }));
    expect(answer).toMatchObject({ status: 200, body: { signed: 0, resolved: 2 } });
    expect(handed).toEqual([]);
  });

  test('a group that fires with a resolved alert in it tells the one that fires', async () => {
    await post(notification({ status: 'resolved', labels: { model: 'letters' } }, {}));
    expect(handed.map(({ model }) => model)).toEqual(['digits']);
  });

  const TOKENS: [string, string | null][] = [
    ['no token', null],
    ['another', 'a-token-of-somebody-else-with-32-chars'],
    ['its digest', sha256(ALERT_TOKEN)],
    ['one that begins as it does', ALERT_TOKEN.slice(0, -1)],
    ['one that goes on', `${ALERT_TOKEN}x`],
  ];
  test.each(TOKENS)('%s is refused, and its body is not read', async (_, token) => {
    expect(await post('<html>', token)).toMatchObject({ status: 401, body: { code: 'NOT_AUTHORISED' } });
    expect(handed).toEqual([]);
    if (token !== null) expect(rig.log()).not.toContain(token);
  });

  test('its token asks for no release', async () => {
    const answer = await rig.ask(ALERT_TOKEN);
    expect(answer.status).toBe(401);
  });

  const BODIES: [string, unknown, number, Record<string, string>?][] = [
    ['HTML', '<html><script>alert(1)</script></html>', 400],
    ['HTML by its type', '<html></html>', 415, { 'content-type': 'text/html' }],
    ['nothing', '', 400],
    ['of another version', { ...notification({}), version: '3' }, 400],
    ['without alerts', { ...notification({}), alerts: undefined }, 400],
    ['with a label that is no text', notification({ labels: { model: 7 } as never }), 400],
    [
      'with __proto__',
      JSON.stringify(notification({})).replace('"model":"digits"', '"__proto__":{"model":"digits"}'),
      400,
    ],
    ['that never began', notification({ startsAt: 'yesterday' }), 400],
    ['that is oversized', notification({ annotations: { summary: 'x'.repeat(1024 * 1024) } }), 413],
    [
      'of a thousand alerts too many',
      notification(...Array.from({ length: 10_001 }, () => ({ labels: {}, annotations: {} }))),
      413,
    ],
  ];
  test.each(BODIES)('a body that is %s', async (_, body, status, headers = {}) => {
    expect(await post(body, ALERT_TOKEN, headers)).toMatchObject({ status, body: { code: 'MALFORMED' } });
    expect(handed).toEqual([]);
  });

  const NAMELESS: [string, Record<string, string>][] = [
    ['no model', { alertname: 'Watchdog' }],
    ['another workflow', { model: '../lifecycle/digits' }],
    ['a version that is none', { model: 'digits', version: '1.x' }],
    ['a digest that is none', { model: 'digits', release: '1.1.0' }],
  ];
  test.each(NAMELESS)(
    'an alert that names %s is said to be of no use, and keeps no other from being told',
    async (_, labels) => {
      const answer = await post(notification({ labels, fingerprint: 'nameless' }, {}));
      expect(answer).toMatchObject({ status: 400, body: { message: expect.stringMatching(/^1 firing alerts/) } });
      expect(handed.map(({ model }) => model)).toEqual(['digits']);
    },
  );

  test('what an alert says is text, and no longer than people read', async () => {
    const summary = `<script>\u202e\u0000${'x'.repeat(5_000)}`;
    await post(notification({ annotations: { summary }, labels: { model: 'digits', alertname: 'A'.repeat(5_000) } }));
    const [told] = said();
    expect(told?.predicate.reason.length).toBeLessThanOrEqual(500);
    expect(told?.predicate.reason).toMatch(/^A{100}: <script>\\u\{202e\}\\u\{0\}x+/);
  });

  test('a storm of a thousand posts is a few signals a minute, and the rest is told later', async () => {
    const posts: number[] = [];
    for (let at = 0; at < 1_000; at += 1)
      posts.push((await post(notification({ fingerprint: String(at) }, { labels: { model: 'other' } }))).status);
    expect(posts.filter((status) => status === 200)).toHaveLength(30);
    expect(new Set(posts.slice(30))).toEqual(new Set([503]));
    expect(handed.filter(({ model }) => model === 'digits')).toHaveLength(30);
    expect(handed.filter(({ model }) => model === 'other')).toHaveLength(1);
    rig.pass(60_000);
    expect((await post(notification({ fingerprint: '999' }))).status).toBe(200);
  });

  test('a key that is more than a monitor signs nothing', async () => {
    await rig.stop();
    rig = await startRig(null, { courier, monitor: 'api' });
    expect(await post(notification({}))).toMatchObject({ status: 403, body: { code: 'NOT_AUTHORISED' } });
    await rig.stop();
    const more = {
      courier,
      policy: (policy: Policy) => ({
        ...policy,
        authorities: policy.authorities.map((held) =>
          held.id === 'siem' ? { ...held, roles: ['monitor', 'requester'] as const } : held,
        ),
      }),
    };
    rig = await startRig(null, more);
    expect((await post(notification({}))).status).toBe(403);
    expect(handed).toEqual([]);
  });

  test('before the policy is there, nothing is signed', async () => {
    await rig.stop();
    rig = await startRig(null, { courier, deliver: [] });
    expect(await post(notification({}))).toMatchObject({ status: 503, body: { code: 'PENDING' } });
  });

  test('where no Alertmanager is expected, there is nothing', async () => {
    await rig.stop();
    rig = await startRig(null);
    expect((await post(notification({}))).status).toBe(404);
  });
});
