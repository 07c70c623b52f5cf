import { describe, expect, test } from 'vitest';
import { LogCanvas, TerminalCanvas } from '../../../client/watching/canvas.js';
import { drawTree, type Line, type Sighting } from '../../../client/watching/tree.js';
import { sparkline, Trends } from '../../../client/watching/trend.js';
import type { EndpointStatus } from '../../../domain/endpoint.js';
import type { ModelState } from '../../../domain/gateway.js';

const [stable, canary] = ['a'.repeat(64), 'b'.repeat(64)];
const order = {
  ...{ request: 'c'.repeat(64), approvals: [], release: canary, version: '1.1.0' },
  replyTo: 'lifecycle/digits/1.1.0',
};
const endpoint: EndpointStatus = {
  ...{
    revision: 4,
    document: 'd'.repeat(64),
    killedBy: [],
    queued: [],
    ended: [],
    gate: null,
    missing: 0,
    trouble: [],
  },
  serving: [
    { release: canary, version: '1.1.0', weight: 50 },
    { release: stable, version: '1.0.0', weight: 50 },
  ],
  rollout: { order, step: 1 },
};

function gateway(counted: { requests: number; failures: number }, more: Partial<ModelState> = {}): ModelState {
  const counters = [{ revision: 4, release: stable, version: '1.0.0', slow: 0, p95Ms: 12.4, ...counted }];
  return {
    ...{ model: 'digits', revision: 4, document: null, serving: [], plan: null, triggers: null, killedBy: [] },
    ...{ breach: null, breakers: [], replicas: [], counters },
    ...more,
  };
}

const seen = (more: Partial<Sighting> = {}): Sighting => ({
  ...{ model: 'digits', endpoint, silent: null, gateways: [gateway({ requests: 0, failures: 0 })] },
  ...{ steps: [10, 50, 100], underWay: [] },
  ...more,
});
const texts = (sighting: Sighting, trends = new Trends()): string[] =>
  drawTree(sighting, trends).map(({ text }) => text);

describe('the trend of a release', () => {
  test('is what came between two looks, of all gateways together', () => {
    const trends = new Trends();
    trends.add([gateway({ requests: 100, failures: 50 }), gateway({ requests: 10, failures: 0 })], 0);
    expect(trends.of(stable)).toEqual([]);
    trends.add(
      [gateway({ requests: 120, failures: 55 }), gateway({ requests: 40, failures: 0 }), null, 'unknown'],
      2000,
    );
    expect(trends.of(stable)).toEqual([{ perSecond: 25, failing: 0.1, p95Ms: 12.4 }]);
  });

  test('says nothing of a look in which a gateway has begun anew, and goes on after it', () => {
    const trends = new Trends();
    for (const [at, requests] of [100, 5, 15].entries()) trends.add([gateway({ requests, failures: 0 })], at * 1000);
    expect(trends.of(stable)).toMatchObject([{ perSecond: 10 }]);
  });

  test('has no share of failures where nobody has called', () => {
    const trends = new Trends();
    for (const at of [0, 1000]) trends.add([gateway({ requests: 7, failures: 7 })], at);
    expect(trends.of(stable)).toEqual([{ perSecond: 0, failing: null, p95Ms: null }]);
  });

  test('is kept for so many looks, however long it is watched', () => {
    const trends = new Trends();
    for (let at = 0; at < 10_000; at += 1) trends.add([gateway({ requests: at, failures: 0 })], at);
    expect(trends.of(stable)).toHaveLength(30);
  });

  test.each([
    [[0, 0.5, 1], 0, '▁▅█'],
    [[0, 0], 0, '▁▁'],
    [[0.01, null, 0.02], 1, '▂ ▂'],
    [[], 0, ''],
  ] as const)('%j up to %d is drawn as “%s”', (values, top, drawn) => {
    expect(sparkline(values, top)).toBe(drawn);
  });
});

describe('the tree of a model', () => {
  test('shows who serves whom, how well, and how far the rollout is', () => {
    const trends = new Trends();
    trends.add([gateway({ requests: 0, failures: 0 })], 0);
    trends.add([gateway({ requests: 20, failures: 1 })], 1000);
    expect(texts(seen(), trends)).toEqual([
      'digits: rolling out 1.1.0, revision 4',
      '├─  50 %  1.1.0',
      '├─  50 %  1.0.0    20.0/s  errors  5.0 % ▂  p95 12 ms █',
      '└─ rollout of 1.1.0: 10 % ✓  50 % ●  100 % ○',
    ]);
  });

  test('shows what people can do, with the command, and what is wrong', () => {
    const gate = {
      ...{ requestId: 'deploy-1', request: 'e'.repeat(64), role: 'release-approver', count: 1, evidence: {} },
      ...{ expiresAt: '2030-01-01T00:00:00.000Z', envelope: { payloadType: 'x', payload: '', signatures: [] } },
    };
    const waiting = { workflowId: 'lifecycle/digits/1.2.0', gate, missing: 1 };
    const release = stable;
    const breakers = [{ release, version: '1.0.0', state: 'open', reason: 'all fail', failedTries: 1 } as const];
    const drawn = texts(
      seen({
        gateways: [
          gateway({ requests: 0, failures: 0 }, { breakers }),
          gateway({ requests: 0, failures: 0 }, { revision: 3 }),
          null,
          'unknown',
        ],
        underWay: [{ version: '1.2.0', stage: 'approve', waiting, trouble: ['the store is full'] }],
        endpoint: {
          ...endpoint,
          trouble: ['cannot roll back'],
          ended: [{ request: 'f'.repeat(64), result: { kind: 'rolled back', revision: 3, reason: 'fail: too slow' } }],
        },
      }),
    );
    expect(drawn.slice(2)).toEqual([
      '├─  50 %  1.0.0   breaker open: all fail',
      '├─ rollout of 1.1.0: 10 % ✓  50 % ●  100 % ○',
      '├─ 1.2.0: approve',
      '├─ waits for 1 × release-approver until 2030-01-01T00:00:00.000Z: custody approve deploy-1',
      '├─ 1.2.0: trouble: the store is full',
      '├─ last rollout: rolled back: fail: too slow',
      '├─ gateway 2 of 4 is at revision 3',
      '├─ gateway 3 of 4 does not answer',
      '├─ gateway 4 of 4 knows no such model',
      '└─ trouble: cannot roll back',
    ]);
  });

  test.each([
    ['killed', seen({ endpoint: { ...endpoint, killedBy: ['9'.repeat(64)] } }), 'digits: killed, revision 4'],
    ['steady', seen({ endpoint: { ...endpoint, rollout: null } }), 'digits: steady, revision 4'],
    ['of no endpoint', seen({ endpoint: null }), 'digits: not served yet'],
    ['of a silent Temporal', seen({ endpoint: null, silent: 'Temporal does not answer' }), 'digits: nobody can tell'],
  ])('begins with where it stands: %s', (_, sighting, first) => {
    expect(texts(sighting)[0]).toBe(first);
  });
});

describe('on a terminal', () => {
  function terminal(columns: number, rows: number): { canvas: TerminalCanvas; written: () => string } {
    let text = '';
    const write = (more: string): boolean => {
      text += more;
      return true;
    };
    return {
      canvas: new TerminalCanvas({ columns, rows, write }),
      written: () => text,
    };
  }
  const plainly = (...lines: string[]): Line[] => lines.map((text) => ({ text, fact: text, tone: 'plain' }));

  test('it is drawn over what was drawn before', () => {
    const { canvas, written } = terminal(80, 24);
    canvas.draw(plainly('one', 'two', 'three'));
    canvas.draw(plainly('four'));
    expect(written()).toBe('\r\u001b[Jone\ntwo\nthree\n\u001b[3A\r\u001b[Jfour\n');
  });

  test('nothing is wider or higher than there is room', () => {
    const { canvas, written } = terminal(6, 4);
    canvas.draw(plainly('123456', '1234567', '3', '4', '5'));
    expect(written()).toContain('123456\n12345…\n… 3 m…\n');
  });

  test('attack: nobody’s words move the cursor or colour the screen', () => {
    const { canvas, written } = terminal(80, 24);
    canvas.draw(plainly('reason \u001b[2J\u001b]0;owned\u0007 \u202Eevil\r'));
    expect(written()).toBe('\r\u001b[Jreason �[2J�]0;owned� �evil�\n');
  });
});

test('in a pipe a line comes when something has changed, not whenever something is measured', () => {
  let text = '';
  const canvas = new LogCanvas(
    (more) => (text += more),
    () => 'now',
  );
  const line = (fact: string, measured = ''): Line => ({ fact, text: fact + measured, tone: 'plain' });
  canvas.draw([line('100 % 1.0.0', ' 20.0/s')]);
  canvas.draw([line('100 % 1.0.0', ' 21.0/s')]);
  canvas.draw([line('100 % 1.0.0', ' 0.0/s'), line('trouble: \u001b[2Jx')]);
  canvas.draw([line('100 % 1.0.0', ' 20.0/s')]);
  expect(text).toBe('now 100 % 1.0.0 20.0/s\nnow trouble: �[2Jx\nnow no more: trouble: �[2Jx\n');
});
