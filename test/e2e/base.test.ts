import { mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { lifecycleId } from '../../domain/names.js';
import type { ReleaseRecord } from '../../domain/record.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import { Bench, FIRST, MODEL, type Ended } from './harness.js';
import { until } from './support/until.js';

const NEXT = { model: MODEL, version: '1.0.1' };
const PATIENCE_SECONDS = 180;

/** A release of which only the configuration changed, made and taken in without the bytes of the rest. */
let bench: Bench;
beforeAll(async () => {
  bench = await Bench.start((policy) => ({
    ...policy,
    versioning: { ...policy.versioning, config: { default: 'patch', keys: {} } },
    retirement: { ...policy.retirement, noticeSeconds: 1 },
  }));
  await bench.putFirstInService();
});
afterAll(() => bench.stop());

const json = ({ stdout }: Ended): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;
const bundle = (): string => join(bench.folder, 'next.sig.json');
const changes = (): string => join(bench.folder, 'changes');
/** SIGKILLs both as the vault makes somebody a holder of the first key: the other files are still to be taken over. */
function killedInTakingOver(): Promise<void> {
  const entries = join(bench.state, 'zones', 'vault', 'state', 'entries');
  return new Promise((resolve, reject) => {
    const watcher = watch(entries, () => {
      watcher.close();
      try {
        for (const name of ['vault', 'intake']) bench.signalProcess(name, 'SIGKILL');
        resolve();
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

/** Which attempt at taking it in was the last. */
async function attemptsToIngest(version: string): Promise<number> {
  const handle = bench.custody.temporal.workflow.getHandle(lifecycleId({ model: MODEL, version }));
  const events = (await handle.fetchHistory()).events ?? [];
  const asked = events.find((each) => each.activityTaskScheduledEventAttributes?.activityType?.name === 'ingest');
  const started = events.flatMap(({ activityTaskStartedEventAttributes: attempt }) =>
    attempt != null && String(attempt.scheduledEventId) === String(asked?.eventId) ? [attempt.attempt ?? 0] : [],
  );
  return Math.max(0, ...started);
}

describe('a release on a base', () => {
  test('is packed from what changed alone, and is refused where it says too little', async () => {
    mkdirSync(changes());
    const config = JSON.parse(readFileSync(join(shippedFolder('1.0.0'), 'config.json'), 'utf8')) as object;
    writeFileSync(join(changes(), 'config.json'), JSON.stringify({ ...config, note: 'changed' }));
    const pack = (...more: readonly string[]): Promise<Ended> =>
      bench.cli('--json', 'pack', changes(), '--as', NEXT.version, '--key', 'trainer', '--bundle', bundle(), ...more);
    expect(await pack('--base', `${MODEL}@9.9.9`)).toMatchObject({ code: 2 });
    expect(await pack()).toMatchObject({ code: 2 });
    expect(await pack('--base', `${MODEL}@1.0.0`, '--remove', 'nothing.json')).toMatchObject({ code: 2 });
    expect(await pack('--base', `${MODEL}@1.0.0`, '--model', 'letters')).toMatchObject({ code: 3 });
    const packed = await pack('--base', `${MODEL}@1.0.0`);
    expect(packed, packed.stderr).toMatchObject({ code: 0 });
    const manifest = JSON.parse(readFileSync(join(changes(), 'custody.json'), 'utf8')) as { files: object[] };
    expect(json(packed)).toMatchObject({ ...NEXT, taken: manifest.files.length - 1 });
  });

  test('is taken over once more where vault and intake are killed in the middle of it', async () => {
    const killed = killedInTakingOver();
    const asked = await bench.cli('release', changes(), '--bundle', bundle(), '--key', 'ci');
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    await killed;
    await bench.openGate(NEXT.version);
    expect(await attemptsToIngest(NEXT.version)).toBeGreaterThan(1);
  });

  test('goes into service and verifies; its scan and its record say what it took over', async () => {
    await bench.approve(NEXT.version, ['alice']);
    await bench.reached(NEXT.version, 'in service');
    await bench.answers({ status: 200, version: NEXT.version });
    const verified = await bench.cli('--json', 'verify', MODEL, NEXT.version);
    expect(verified, verified.stderr).toMatchObject({ code: 0 });
    const { progress } = await lifecycleStatus(bench.custody, NEXT);
    const { verified: scan } = await bench.custody.records.get('scan', progress.ingested?.scan ?? '');
    const files = progress.ingested?.files ?? 0;
    expect(scan.predicate.takenFrom).toMatchObject({ files: files - 1, reused: files - 1 });
    const shown = await bench.cli('--json', 'show', `${MODEL}@${NEXT.version}`);
    const { lines } = json(shown) as unknown as ReleaseRecord;
    expect(lines.find(({ part }) => part === 'base')).toMatchObject({
      ...{ state: 'holds', says: expect.stringContaining(`${MODEL} 1.0.0, release `) as string },
    });
  });

  test('keeps what it shares with its base when that is erased', async () => {
    const asked = await bench.cli('retire', MODEL, FIRST.version, '--reason', 'replaced', '--key', 'otto');
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    await bench.approve(FIRST.version, ['alice', 'bob']);
    const outcome = await until('the end of 1.0.0', PATIENCE_SECONDS, () => outcomeOf(bench.custody, FIRST));
    if (outcome.kind !== 'retired') throw new Error(`1.0.0 was not retired: ${outcome.kind}`);
    const { verified } = await bench.custody.records.get('destruction', outcome.certificate);
    expect(verified.predicate.destroyed.map(({ path }) => path)).toEqual(['config.json']);
    expect(verified.predicate.kept.map(({ path }) => path)).toContain('weights.safetensors');
    expect(await bench.cli('verify', MODEL, NEXT.version)).toMatchObject({ code: 0 });
    await bench.answers({ status: 200, version: NEXT.version });
  });

  test('attack: nothing is built on what was erased', async () => {
    const pack = await bench.cli(
      ...['--json', 'pack', changes(), '--base', `${MODEL}@1.0.0`, '--as', '1.0.2'],
      ...['--key', 'trainer', '--bundle', bundle()],
    );
    expect(pack).toMatchObject({ code: 3 });
    expect(json(pack)).toMatchObject({ error: { code: 'REVOKED' } });
  });
});

describe('the only release that serves', () => {
  const INSTEAD = 'letters 1 at https://models.example/letters/v1';
  const ask = (): Promise<Response> => fetch(new URL(`/v2/models/${MODEL}`, bench.stack.description.gateway.url));

  test('says in its answers when it ends, and is 410 then, with why and what to use instead', async () => {
    const { progress } = await lifecycleStatus(bench.custody, NEXT);
    const release = progress.ingested?.release ?? '';
    const asked = await bench.cli(
      ...['retire', MODEL, NEXT.version, '--reason', 'digits are out', '--instead', INSTEAD],
      ...['--notice', '20', '--key', 'otto'],
    );
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    await bench.approve(NEXT.version, ['alice', 'bob']);
    const announced = await until('the announcement', PATIENCE_SECONDS, async () => {
      const { headers } = await ask();
      return headers.get('sunset') === null ? null : headers;
    });
    const notice = await until('the notice', PATIENCE_SECONDS, async () => {
      return (await lifecycleStatus(bench.custody, NEXT)).notice;
    });
    expect(announced.get('sunset')).toBe(new Date(notice.endsAt).toUTCString());
    expect(announced.get('deprecation')).toMatch(/^@\d+$/);
    const outcome = await until('the end of 1.0.1', PATIENCE_SECONDS, () => outcomeOf(bench.custody, NEXT));
    expect(outcome).toMatchObject({ kind: 'retired' });
    const gone = await ask();
    expect([gone.status, gone.headers.get('sunset')]).toEqual([410, null]);
    expect(await gone.json()).toMatchObject({
      ...{ code: 'WITHDRAWN', model: MODEL, version: NEXT.version, release, why: 'digits are out', instead: INSTEAD },
      since: expect.stringMatching(/^2.*Z$/) as string,
    });
  });
});
