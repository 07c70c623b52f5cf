import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lifecycleStatus } from '../../client/messages.js';
import type { AuditRecord } from '../../domain/audit.js';
import { endpointId, lifecycleId } from '../../domain/names.js';
import { Bench, FIRST, MODEL } from './harness.js';

interface Reconciled {
  readonly started: readonly string[];
  readonly running: readonly string[];
  readonly ended: number;
  readonly odd: readonly unknown[];
}

const [WAITING, REJECTED] = ['1.1.0', '1.2.0'];
const lifecycle = (version: string): string => lifecycleId({ model: MODEL, version });
const ALL = [endpointId(MODEL), lifecycle(FIRST.version), lifecycle(WAITING)];

describe('Temporal has lost its database', () => {
  let bench: Bench;
  let before: { readonly log: readonly AuditRecord[]; readonly routes: readonly string[]; readonly requestId: string };

  const reconcile = async (...args: string[]): Promise<Reconciled> => {
    const { code, stdout, stderr } = await bench.cli('reconcile', '--json', ...args);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as Reconciled;
  };
  const routes = async (): Promise<readonly string[]> => bench.keys(`routes/${MODEL}/`);

  beforeAll(async () => {
    const first = await Bench.start();
    bench = first;
    await bench.putFirstInService();
    await bench.start(await bench.source(WAITING));
    const { gate } = await bench.openGate(WAITING);
    await bench.start(await bench.source(REJECTED));
    const refused = await bench.openGate(REJECTED);
    await bench.tell(refused.workflowId, 'reject', await bench.decision('alice', refused, 'reject'));
    await bench.reached(REJECTED, 'ended');
    before = { log: await bench.log(), routes: await routes(), requestId: gate.requestId };
    bench = await first.again((layout) => rmSync(layout.path('temporal'), { recursive: true }));
  });
  afterAll(() => bench?.stop());

  test('callers do not notice; nothing runs, and what is to run is told by the records alone', async () => {
    await bench.answers({ status: 200, version: FIRST.version });
    await expect(lifecycleStatus(bench.custody, { model: MODEL, version: FIRST.version })).rejects.toMatchObject({
      code: 'INPUT_MISSING',
    });
    const told = await reconcile('--dry-run');
    expect({ ...told, started: [...told.started].sort() }).toEqual({
      ...{ started: [...ALL].sort(), running: [], ended: 1, odd: [] },
    });
  });

  test('each goes on where it was, and nothing that was right has changed', async () => {
    expect([...(await reconcile()).started].sort()).toEqual([...ALL].sort());
    await bench.reached(FIRST.version, 'in service');
    const { gate } = await bench.openGate(WAITING);
    expect(gate.requestId).toBe(before.requestId);
    expect(await routes()).toEqual(before.routes);
    // What control does beside, as extending locks, is about no model.
    const news = (await bench.log()).slice(before.log.length);
    const changes = news.filter(({ subject }) => subject.model === MODEL);
    expect(changes.map(({ change, reason }) => `${change}: ${reason}`)).toEqual([]);
  });

  test('once more changes nothing', async () => {
    const { started, running } = await reconcile();
    expect({ started, running: [...running].sort() }).toEqual({ started: [], running: [...ALL].sort() });
  });

  test('people decide, kill and restore as if nothing had happened', async () => {
    const waiting = await bench.openGate(WAITING);
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
    await bench.reached(WAITING, 'in service');
    await bench.answers({ status: 200, version: WAITING });
    const killed = await bench.cli('kill', MODEL, '--reason', 'a drill', '--key', 'oscar');
    expect(killed.code, killed.stderr).toBe(0);
    await bench.answers({ status: 503 });
    await bench.restore();
  });
});
