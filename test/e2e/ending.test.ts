import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lifecycleStatus, outcomeOf } from '../../client/messages.js';
import type { Digest } from '../../domain/digest.js';
import { storeKeys } from '../../domain/store-keys.js';
import { parseManifest } from '../../formats/manifest.js';
import { Bench, FIRST, MODEL, type Ended } from './harness.js';
import { steal, type Wanted } from './support/thief.js';
import { until } from './support/until.js';

const NEXT = { model: MODEL, version: '1.0.1' };
const PATIENCE_SECONDS = 180;

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

/** As the administrator of the host finds it: what the vault knows of the bytes, and their ciphertext in the store. */
async function wanted(release: Digest, path: string): Promise<Wanted> {
  const { records } = bench.custody;
  const { files } = parseManifest(await records.getBytes(release, storeKeys.manifest));
  const sha256 = files.find((file) => file.path === path)?.sha256 ?? '';
  const entry = join(bench.state, 'zones', 'vault', 'state', 'entries', `${sha256}.json`);
  const { blob } = JSON.parse(readFileSync(entry, 'utf8')) as { blob: string };
  const [version] = await records.bucket.versions(storeKeys.blob(blob));
  const ciphertext = await buffer(await records.bucket.readStream(storeKeys.blob(blob), version?.versionId ?? null));
  return { ciphertext, sha256 };
}

describe('a release that is erased, of which another one has a file', () => {
  test('cannot be read with every credential and every byte of store, cache and history; the other one still loads', async () => {
    const { progress } = await lifecycleStatus(bench.custody, FIRST);
    const release = progress.ingested?.release ?? '';
    const next = await bench.source(NEXT.version, {
      change: (folder) => {
        const file = join(folder, 'config.json');
        const config = JSON.parse(readFileSync(file, 'utf8')) as object;
        writeFileSync(file, JSON.stringify({ ...config, note: 'changed' }));
      },
    });
    await bench.start(next);
    await bench.approve(NEXT.version, ['alice']);
    await bench.reached(NEXT.version, 'in service');
    const own = await wanted(release, 'config.json');
    const shared = await wanted(release, 'weights.safetensors');
    // What finds nothing would prove nothing: while the release is alive, its keys are found.
    expect(await steal(bench.state, [own, shared])).toEqual([true, true]);

    const asked = await bench.cli('retire', MODEL, FIRST.version, '--reason', 'replaced', '--key', 'otto');
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    expect(asked.stdout).toContain(`depends on it   ${MODEL} 1.0.1 shares files with it, and serves`);
    await bench.approve(FIRST.version, ['alice', 'bob']);
    const outcome = await until('the end of 1.0.0', PATIENCE_SECONDS, () => outcomeOf(bench.custody, FIRST));
    expect(outcome).toMatchObject({ kind: 'retired' });

    expect(await steal(bench.state, [own, shared])).toEqual([false, true]);
    expect(await bench.cli('verify', MODEL, NEXT.version)).toMatchObject({ code: 0 });
    // From nothing: its copy is gone, and is loaded anew with the keys that it shared.
    bench.signalProcess('serving', 'SIGKILL');
    await bench.answers({ status: 200, version: NEXT.version });
  });

  test('has a certificate that anybody with the pinned root can check, and a page', async () => {
    const file = join(bench.folder, 'certificate.json');
    const exported = await bench.cli('certificate', 'export', `${MODEL}@1.0.0`, '--out', file);
    expect(exported, exported.stderr).toMatchObject({ code: 0 });
    const verified = await bench.cli('--json', 'certificate', 'verify', file);
    expect(verified, verified.stderr).toMatchObject({ code: 0 });
    const { checks } = json(verified) as { checks: { permission: { allowed: boolean } }[] };
    expect(checks.length).toBeGreaterThan(4);
    expect(checks.every(({ permission }) => permission.allowed)).toBe(true);
    const page = join(bench.folder, 'certificate.html');
    expect(await bench.cli('certificate', 'page', file, '--out', page)).toMatchObject({ code: 0 });
    expect(readFileSync(page, 'utf8')).toContain('cryptographic erase');
  });
});

describe('a release that serves, and turns out to be dangerous', () => {
  test('is stopped by one security authority within the time of the policy, and serves nowhere any more', async () => {
    const condemned = await bench.cli(
      ...['condemn', `${MODEL}@${NEXT.version}`, '--vulnerability', 'CVE-2026-1234'],
      ...['--reason', 'it runs what it is told', '--key', 'sam'],
    );
    expect(condemned, condemned.stderr).toMatchObject({ code: 0 });
    await bench.answers({ status: 503 });
    const [killed] = (await bench.log()).filter(
      ({ change, reason }) => change === 'endpoint.killed' && reason.includes('CVE-2026-1234'),
    );
    const { records } = bench.custody;
    const { newest } = await records.policies();
    const order = await records.find('kill', storeKeys.kill(MODEL, killed?.after ?? ''));
    // As the policy counts it: from the signature of the notice, which the order is dated by.
    const ms = Date.parse(killed?.time ?? '') - Date.parse(order?.verified.predicate.issuedAt ?? '');
    expect(ms).toBeLessThan(newest.emergency.killResponseSeconds * 1000);
    await bench.reached(NEXT.version, 'condemned');
    const { progress } = await lifecycleStatus(bench.custody, NEXT);
    const release = progress.ingested?.release ?? '';
    await until('its revocation in force', PATIENCE_SECONDS, async () =>
      (await bench.custody.records.find('revocation', storeKeys.revocation(release))) === null ? null : true,
    );
    expect(await bench.cli('verify', MODEL, NEXT.version)).not.toMatchObject({ code: 0 });
    const changes = (await bench.log()).map(({ change }) => change);
    expect(changes).toContain('release.condemned');
    expect(changes).toContain('release.revoked');
  });

  test('attack: by anybody else nothing is condemned', async () => {
    const refused = await bench.cli(
      ...['--json', 'condemn', `${MODEL}@${NEXT.version}`, '--vulnerability', 'X-1', '--reason', 'x', '--key', 'otto'],
    );
    expect(refused).toMatchObject({ code: 4 });
    expect(json(refused)).toMatchObject({ error: { code: 'NOT_AUTHORISED' } });
  });

  test('is erased when people say so, without a notice period', async () => {
    const asked = await bench.cli('retire', MODEL, NEXT.version, '--reason', 'looked into', '--key', 'otto');
    expect(asked, asked.stderr).toMatchObject({ code: 0 });
    await bench.approve(NEXT.version, ['alice', 'bob']);
    const outcome = await until('the end of 1.0.1', PATIENCE_SECONDS, () => outcomeOf(bench.custody, NEXT));
    expect(outcome).toMatchObject({ kind: 'retired' });
    const file = join(bench.folder, 'condemned.json');
    expect(await bench.cli('certificate', 'export', `${MODEL}@1.0.1`, '--out', file)).toMatchObject({ code: 0 });
    expect(await bench.cli('certificate', 'verify', file)).toMatchObject({ code: 0 });
  });
});
