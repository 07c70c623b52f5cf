import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { renderCertificate } from '../../../client/evidence/page/certificate.js';
import { certificateHolds } from '../../../domain/certificate.js';
import { CustodyError } from '../../../domain/errors.js';
import type { GatewayState } from '../../../domain/gateway.js';
import type { ProbePredicate } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { isoTime } from '../../../domain/time.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { verifyCertificate } from '../../../formats/certificate.js';
import type { Release } from '../../support/world.js';
import { startKeeping, type Keeping } from './rig.js';

let rig: Keeping;
let release: Release;

beforeEach(async () => {
  rig = await startKeeping();
  release = await rig.keep(rig.world.release());
});
afterEach(() => rig.stop());

async function certificates(): Promise<number> {
  let count = 0;
  for await (const key of rig.records.bucket.list(storeKeys.recordsOf(release.name)))
    if (key === storeKeys.record(release.name, 'destruction')) count += 1;
  return count;
}

describe('after an erasure', () => {
  test('the certificate names who has tried what, what remains and what is not ours; it is checked offline', async () => {
    const { bySigning, evidence } = await rig.condemn(release);
    const { envelope, verified } = await rig.records.get('destruction', await bySigning());
    const { predicate } = verified;
    expect(predicate.probed.map(({ zone, by }) => [zone, by])).toEqual([
      ...[['signing', 'release-signer']],
      ...[['serving', 'serving']],
      ...[['control', 'control']],
    ]);
    const keys = predicate.probes.filter(({ kind }) => kind === 'vault key');
    expect(keys.map(({ path }) => path)).toEqual(predicate.destroyed.map(({ path }) => path));
    for (const { answer } of keys) expect(answer).toMatch(/^ERASED: the key of blob/);
    const read = predicate.probes.filter(({ kind, zone }) => kind === 'ciphertext' && zone !== 'serving');
    for (const { answer } of read)
      expect(answer).toMatch(new RegExp(`^${predicate.remains.length} objects of \\d+ bytes in all: no key opens`));
    expect(predicate).toMatchObject({
      ...{ orderedBy: 'rita', approvedBy: ['alice', 'bob'], standard: 'NIST SP 800-88r2' },
      residual: [{ where: 'file:///releases' }],
    });
    const probes = await Promise.all(predicate.probed.map(({ statement }) => rig.records.get('probe', statement)));
    const whole = { ...evidence, certificate: envelope, probes: probes.map((each) => each.envelope) };
    const { gone, rules } = verifyCertificate(whole, rig.world.root, isoTime(Date.now()));
    const checks = certificateHolds(gone, rules);
    expect(checks.filter(({ permission }) => !permission.allowed)).toEqual([]);
    expect(renderCertificate(gone, checks)).toContain('It is gone, and all that shows it holds');
  });

  test('a worker that was killed once the keys were gone is followed by another, and there is one certificate', async () => {
    const { erase, certify } = await rig.condemn(release);
    await erase();
    // Whoever was killed has told nobody.
    const erased = await erase();
    const control = vi.spyOn(rig.records, 'recordOnce').mockRejectedValueOnce(new Error('killed'));
    await expect(certify(erased)).rejects.toThrow('killed');
    control.mockRestore();
    const first = await certify(erased);
    expect(await certify(await erase())).toBe(first);
    expect(await certificates()).toBe(1);
    expect((await rig.records.get('destruction', first)).verified.predicate.destroyed).not.toEqual([]);
  });
});

describe('a vault that is restored from a backup of before', () => {
  const sha256s = () => release.manifest.files.map(({ sha256 }) => sha256);

  /** Erased and certified, and then the vault is what it was before. */
  async function restored() {
    const restore = await rig.backUp();
    const { bySigning, retirement } = await rig.condemn(release);
    const certificate = await bySigning();
    await rig.put(storeKeys.record(release.name, 'retirement'), canonicalBytes(retirement));
    await rig.put(storeKeys.record(release.name, 'outcome'), canonicalBytes({ kind: 'retired', certificate }));
    return restore();
  }

  test('destroys again what was destroyed, within a day, and people are told', async () => {
    const { vault, keeping } = await restored();
    const back = await vault.holdings({ release: release.release, sha256s: sha256s() });
    expect(back).not.toEqual([]);
    const { troubles } = await rig.run(() => keeping.extendReleases());
    expect(troubles).toEqual([
      expect.stringMatching(
        new RegExp(`^${release.name.model} .*: ${back.length} destroyed keys were in the vault again`),
      ),
    ]);
    for (const { blob } of back) expect(await vault.probe(blob)).toMatchObject({ refused: true });
    expect((await rig.run(() => keeping.extendReleases())).troubles).toEqual([]);
  });

  test('attack: a certificate that is named for a release that is alive destroys nothing of it', async () => {
    const other = await rig.keep(rig.world.release({ version: '2.0.0' }));
    const { vault, keeping } = await restored();
    const { certificate } = (await rig.records.record(storeKeys.record(release.name, 'destruction'))) as {
      certificate: string;
    };
    await rig.put(storeKeys.record(other.name, 'destruction'), canonicalBytes({ certificate }));
    await rig.run(() => keeping.extendReleases());
    const kept = other.manifest.files.map(({ sha256 }) => sha256);
    expect(await vault.holdings({ release: other.release, sha256s: kept })).toHaveLength(new Set(kept).size);
  });
});

describe('attack', () => {
  test('attempts at the same time make one certificate, however much their signatures differ', async () => {
    const { erase, certify } = await rig.condemn(release);
    const erased = await erase();
    const made = new Set(await Promise.all([certify(erased), certify(erased), certify(erased)]));
    expect(made.size).toBe(1);
    let signed = 0;
    for await (const key of rig.records.bucket.list('statements/')) {
      const { payload = '' } = JSON.parse((await rig.records.bucket.read(key))?.body.toString() ?? '{}') as {
        payload?: string;
      };
      if (Buffer.from(payload, 'base64').includes('urn:custody:predicate:destruction:v1')) signed += 1;
    }
    expect(signed).toBe(1);
  });

  test('attack: the certificate of another release in its place is not taken for its own', async () => {
    const other = await rig.keep(rig.world.release({ version: '2.0.0' }));
    const { envelope } = await rig.records.get('destruction', await (await rig.condemn(other)).bySigning());
    await rig.records.keep(envelope, storeKeys.record(release.name, 'certificate'));
    const { bySigning } = await rig.condemn(release);
    await expect(bySigning()).rejects.toMatchObject({ code: 'WORM_VIOLATED' });
    expect(await certificates()).toBe(0);
  });

  test('a vault that says that it has destroyed a key, and keeps it, gets no certificate', async () => {
    const { erase } = await rig.condemn(release);
    vi.spyOn(rig.vault, 'destroy').mockResolvedValue({
      destroyed: release.manifest.files.map(({ path, sha256 }, at) => ({ path, sha256, blob: `${at}`.repeat(32) })),
      ...{ kept: [], remains: [], destroyedAt: isoTime(Date.now()) },
    });
    await expect(erase()).rejects.toMatchObject({ code: 'VALIDATION_FAILED' });
    expect(await certificates()).toBe(0);
  });

  const lies: [what: string, code: string, change: Partial<ProbePredicate>, by?: 'oscar' | 'control'][] = [
    [
      'serving was handed a key',
      'VALIDATION_FAILED',
      { probes: [{ kind: 'vault open', path: 'x', refused: false, answer: 'a key' }] },
    ],
    [
      'serving has not tried the loader',
      'INPUT_MISSING',
      { probes: [{ kind: 'port', path: 'x', refused: true, answer: '' }] },
    ],
    ['serving speaks of another request', 'REPLAYED', { request: 'a'.repeat(64) }],
    ['an operator says what serving has tried', 'NOT_AUTHORISED', {}, 'oscar'],
    ['control says what serving has tried', 'NOT_AUTHORISED', {}, 'control'],
    ['nobody but control has tried', 'INPUT_MISSING', { zone: 'control' }, 'control'],
  ];
  test.each(lies)('there is no certificate where %s', async (_, code, change, by) => {
    const { erase, served, certify } = await rig.condemn(release);
    const erased = await erase();
    const serving = await served(erased, change, by);
    await expect(certify(erased, { serving })).rejects.toMatchObject({ code });
    expect(await certificates()).toBe(0);
  });

  test('what was tried after the destruction of another release is not taken for this one', async () => {
    const other = await rig.keep(rig.world.release({ version: '2.0.0', files: { 'other.json': '[2]' } }));
    const { erase, certify } = await rig.condemn(release);
    const elsewhere = await rig.condemn(other);
    const [erased, theirs] = [await erase(), await elsewhere.erase()];
    await expect(certify(theirs)).rejects.toMatchObject({ code: 'REPLAYED' });
    const serving = await elsewhere.served(theirs);
    await expect(certify(erased, { serving })).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  const state = (model: Partial<GatewayState['models'][number]>): GatewayState => ({
    ...{ environment: 'test', policyVersion: 1, statusVersion: 1, consumers: 'a'.repeat(64), fresh: true },
    models: [
      {
        ...{ model: 'digits', revision: 3, document: null, serving: [], plan: null, triggers: null, killedBy: [] },
        ...{ breach: null, counters: [], breakers: [], replicas: [] },
        ...model,
      },
    ],
  });
  const replica = () => ({
    release: release.release,
    version: '1.0.0',
    host: 'h',
    port: 1,
    expiresAt: isoTime(Date.now()),
  });

  test('control has nothing to certify while a gateway serves it, hears of a replica from any host, or does not answer', async () => {
    const { erase, probeGateways, certify } = await rig.condemn(release);
    const erased = await erase();
    const told = (...answers: (() => Promise<GatewayState>)[]): void => {
      rig.desk.gateways = answers.map((answer) => ({ state: answer }));
    };
    const gone = async () => state({});
    const serving = { release: release.release, version: '1.0.0', weight: 100 };
    told(gone, async () => state({ serving: [serving] }));
    await expect(probeGateways(erased)).rejects.toMatchObject({
      code: 'PENDING',
      message: /^gateway 2 of 2: revision 3/,
    });
    told(async () => state({ replicas: [replica()] }), gone);
    await expect(probeGateways(erased)).rejects.toMatchObject({ code: 'PENDING', message: /a replica answers at h:1/ });
    told(gone, () => Promise.reject(new CustodyError('GATEWAY_UNAVAILABLE', 'it does not answer')));
    await expect(probeGateways(erased)).rejects.toMatchObject({ code: 'GATEWAY_UNAVAILABLE' });
    told(gone, gone);
    const { predicate } = (await rig.records.get('destruction', await certify(erased))).verified;
    expect(predicate.probes.filter(({ kind }) => kind === 'gateway')).toHaveLength(2);
  });

  test('nobody gets a release tried whose keys have not been destroyed', async () => {
    const { erase, probeGateways } = await rig.condemn(release);
    const forged = await rig.records.keep(
      rig.world.statement(
        'probe',
        { name: 'x', sha256: release.release },
        (await rig.records.get('probe', await erase())).verified.predicate,
        'control',
      ).envelope,
    );
    await expect(probeGateways(forged)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await expect(probeGateways('a'.repeat(64))).rejects.toMatchObject({ code: 'PENDING' });
  });
});
