import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Layout } from '../../client/stack/layout.js';
import { Bench, FIRST, MODEL } from './harness.js';

/** What docs/recovery.md says to keep: keys, root and policies, the store with its accounts, and the vault's folder. */
const KEPT = ['keys', 'root.json', 'policies', 'store', 'store-secrets.json', 'zones'];
const WAITING = '1.1.0';

function loseTheRest(layout: Layout): void {
  for (const name of readdirSync(layout.state))
    if (!KEPT.includes(name)) rmSync(join(layout.state, name), { recursive: true });
  for (const zone of readdirSync(layout.path('zones')))
    if (zone !== 'vault') rmSync(layout.path('zones', zone), { recursive: true });
}

describe('the host is gone, and all that was kept elsewhere is put on another one', () => {
  let bench: Bench;
  let before: number;
  let asked: string;

  beforeAll(async () => {
    const first = await Bench.start();
    bench = first;
    await bench.putFirstInService();
    await bench.start(await bench.source(WAITING));
    asked = (await bench.openGate(WAITING)).gate.requestId;
    const killed = await bench.cli('kill', MODEL, '--reason', 'something is wrong', '--key', 'oscar');
    expect(killed.code, killed.stderr).toBe(0);
    before = (await bench.log()).length;
    bench = await first.again(loseTheRest);
  });
  afterAll(() => bench?.stop());

  test('what was killed is not served, by a gateway that has never heard of it', async () => {
    const { reason } = await bench.answers({ status: 503 });
    expect(reason).toContain('something is wrong');
  });

  test('what ran runs again, and the log goes on where it was', async () => {
    const { code, stderr } = await bench.cli('reconcile');
    expect(code, stderr).toBe(0);
    await bench.reached(FIRST.version, 'in service');
    expect((await bench.log()).length).toBeGreaterThanOrEqual(before);
    expect(await bench.cli('audit', 'verify', '--key', 'ada')).toMatchObject({ code: 0 });
  });

  test('people restore what was killed: decrypted anew with the keys of before, it serves', async () => {
    await bench.restore();
    await bench.answers({ status: 200, version: FIRST.version });
  });

  test('they are asked about what waited under the same request, and decide', async () => {
    const waiting = await bench.openGate(WAITING);
    expect(waiting.gate.requestId).toBe(asked);
    const said = await bench.decision('alice', waiting, 'reject');
    expect(await bench.tell(waiting.workflowId, 'reject', said)).toBe('accepted');
    await bench.reached(WAITING, 'ended');
  });
});
