import { describe, expect, it } from 'vitest';
import { renderPage } from '../../../client/evidence/page/page.js';
import type { DestructionPredicate } from '../../../domain/ending-predicates.js';
import { lifecycleId } from '../../../domain/names.js';
import { STAGE_BUILD } from '../../../domain/provenance.js';
import type { ProvenancePredicate } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { destructionOf } from '../../support/destruction.js';
import { recordAbout, releaseInService, type InService } from '../../support/evidence.js';
import { createWorld, withProvisions, type KeyName, type Route, type Signed } from '../../support/world.js';
import { recordsOf } from '../serving/fixture.js';
import { dossierOf, failing, keep, rowOf, statesOf } from './dossiers.js';

/** Dossiers of releases that have come to an end, or serve by an exception. */

function part({ objects, release }: InService, name: string, value: object): string {
  const bytes = canonicalBytes(value);
  objects.set(storeKeys.record(release.name, name), bytes);
  return sha256(bytes);
}

const ALIVE = { kind: 'vault open', path: 'digits', refused: false, answer: 'it hands out a key' } as const;
const NOWHERE = 'e'.repeat(64);

describe('a release that was retired, and its keys destroyed', () => {
  interface Retiring {
    readonly certificate?: Partial<DestructionPredicate>;
    readonly probe?: Parameters<typeof destructionOf>[3];
    readonly certifiedBy?: KeyName;
    readonly revokedAt?: number;
    readonly unlogged?: string;
  }

  function retired({
    certificate = {},
    probe,
    certifiedBy = 'release-signer',
    revokedAt = -8,
    unlogged,
  }: Retiring = {}) {
    const life = releaseInService();
    const { world, release, records } = life;
    const { at } = world;
    const { request, approvals, notice } = world.retirement(release);
    const subject = { name: lifecycleId(release.name), sha256: release.release };
    const about = { environment: 'test', ...release.name, request: request.digest };
    const said = { ...about, reason: 'replaced', issuedAt: at(revokedAt) };
    const revocation = world.statement('revocation', subject, said, 'release-signer');
    const destroyed = release.manifest.files.map(({ path, sha256: digest }, blob) => {
      return { path, sha256: digest, blob: `blob-${blob}` };
    });
    const usual = {
      ...{ request: request.digest, orderedBy: 'rita', approvedBy: ['alice', 'bob'] },
      ...{ approvals: approvals.map(({ digest }) => digest), revocation: revocation.digest },
      ...{ destroyed, kept: [], remains: [], destroyedAt: at(-7) },
    };
    const { probes, destruction } = destructionOf(world, release, usual, probe);
    const made = world.statement('destruction', subject, { ...destruction, ...certificate }, certifiedBy);
    keep(life, storeKeys.request(request.digest), request);
    for (const each of [...approvals, notice, ...probes, made]) keep(life, storeKeys.statement(each.digest), each);
    keep(life, storeKeys.revocation(release.release), revocation);
    const agreed = { request: request.digest, approvals: approvals.map(({ digest }) => digest) };
    part(life, 'retirement', { ...agreed, notice: notice.digest, retiresAt: notice.predicate.retiresAt });
    part(life, 'destruction', { certificate: made.digest });
    part(life, 'outcome', { kind: 'retired', certificate: made.digest });
    const of = recordAbout(release, at);
    const more = [
      of('retirement.noticed', -19, 'control', { statement: notice.digest, after: notice.digest }),
      of('release.revoked', revokedAt, 'release-signer', { statement: revocation.digest, after: revocation.digest }),
      of('keys.destroyed', -7, 'release-signer', { statement: made.digest, after: made.digest }),
      of('release.retired', -6, 'control', { after: made.digest }),
    ];
    records.push(...more.filter(({ change }) => change !== unlogged));
    return life;
  }

  it('shows the notice, the revocation and the certificate, each checked', async () => {
    const evidence = await dossierOf(retired());
    expect(failing(evidence)).toEqual([]);
    expect(evidence.standing).toBe('retired');
    expect(statesOf(evidence)).toMatchObject({
      ...{ 'C3.1.1': 'holds', 'C3.1.2': 'holds', 'C3.4.1': 'holds' },
      ...{ 'C3.6.1': 'holds', 'C3.6.2': 'holds', 'C3.6.3': 'holds', 'C3.6.4': 'no evidence' },
    });
    expect(rowOf(evidence, 'C3.6.2')?.says).toMatch(/keys destroyed.*refused\. What a signature cannot show/);
    expect(rowOf(evidence, 'C3.1.2')?.says).toMatch(/it is revoked, so every load refuses it now/);
    expect(evidence.timeline.map(({ change }) => change)).toEqual(
      expect.arrayContaining(['release.revoked', 'keys.destroyed', 'release.retired']),
    );
  });

  it.each<[string, Retiring, string[]]>([
    ['says nothing of some files', { certificate: { destroyed: [] } }, ['draft-C3.6.2']],
    [
      'rests on a vault that still opens',
      { probe: (zone) => (zone === 'serving' ? { change: { probes: [ALIVE] } } : {}) },
      ['draft-C3.6.2'],
    ],
    ['no serving host has tried', { probe: (zone) => (zone === 'serving' ? { by: 'alice' } : {}) }, ['draft-C3.6.2']],
    [
      'names no probe',
      { certificate: { probed: [{ zone: 'signing', by: 'x', statement: NOWHERE }] } },
      ['draft-C3.6.2'],
    ],
    ['rests on another request', { certificate: { request: 'a'.repeat(64) } }, ['draft-C3.6.2']],
    ['rests on another revocation', { certificate: { revocation: 'a'.repeat(64) } }, ['draft-C3.6.2']],
    ['is by nobody who may', { certifiedBy: 'mallory' }, ['draft-C3.6.2']],
  ])('attack: a certificate that %s shows no erasure', async (_, change, rows) => {
    const evidence = await dossierOf(retired(change));
    expect(failing(evidence)).toEqual(rows);
  });

  it.each<[string, Retiring, string[]]>([
    ['its keys were destroyed', { unlogged: 'keys.destroyed' }, ['draft-C3.6.2']],
    ['it was revoked', { unlogged: 'release.revoked' }, ['draft-C3.6.3']],
    ['it was revoked before its notice was over', { revokedAt: -19.5 }, ['draft-C3.6.1']],
  ])('attack: it fails where the log says, or does not say, that %s', async (_, change, rows) => {
    expect(failing(await dossierOf(retired(change)))).toEqual(rows);
  });

  it('attack: it fails where the log does not have its end', async () => {
    expect(failing(await dossierOf(retired({ unlogged: 'release.retired' })))).toEqual(
      expect.arrayContaining(['draft-C3.4.1', 'draft-C3.6.3']),
    );
  });
});

describe('a release that was rolled back by a trigger', () => {
  const WHY = 'fail: 7 of 20 answers failed, at most 5 % may';

  function rolledBack(unlogged = 'nothing') {
    const world = createWorld();
    const stable = world.release();
    const before = world.inService(stable);
    let back: Route | null = null;
    const life = releaseInService(world, {
      release: { version: '1.1.0', after: before.at(-1)! },
      routes: (release) => {
        const step = world.routePlan(before.at(-1)!, release);
        back = world.rollback(step);
        return [...before, step, back];
      },
      rollout: { kind: 'rolled back', revision: before.length + 2, reason: WHY },
    });
    for (const [key, bytes] of recordsOf(stable)) life.objects.set(key, bytes);
    const outcome = part(life, 'outcome', { kind: 'rolled back', reason: WHY });
    life.records.push(recordAbout(life.release, world.at)('release.ended', -6, 'control', { after: outcome }));
    const at = life.records.findIndex(({ after }) => unlogged === 'rollback' && after === back?.digest);
    if (at >= 0) life.records.splice(at, 1);
    return life;
  }

  it('shows its one step, why it ended, and the one document that took everybody back', async () => {
    const evidence = await dossierOf(rolledBack());
    expect(failing(evidence)).toEqual([]);
    expect(evidence.standing).toBe('rolled back');
    expect(statesOf(evidence)).toMatchObject({ 'C3.3.1': 'holds', 'C3.3.2': 'holds', 'C3.4.1': 'holds' });
    expect(rowOf(evidence, 'C3.3.1')?.says).toContain(`rolled back: ${WHY}`);
    expect(evidence.steps.map(({ change }) => change)).toEqual(['plan', 'rollback']);
  });

  it('attack: a way back that is not in the log is none', async () => {
    expect(failing(await dossierOf(rolledBack('rollback')))).toEqual(
      expect.arrayContaining(['draft-C3.3.2', 'draft-C3.4.1']),
    );
  });
});

describe('a release whose steps were watched', () => {
  function judged(verdict: 'pass' | 'fail', by: KeyName = 'control') {
    const world = createWorld();
    const stable = world.release();
    const before = world.inService(stable);
    const life = releaseInService(world, {
      release: { version: '1.1.0', after: before.at(-1)! },
      routes: (release) => [...before, ...world.inService(release, before.at(-1))],
    });
    for (const [key, bytes] of recordsOf(stable)) life.objects.set(key, bytes);
    const { release, routes } = life;
    const step = routes.find(({ document }) => document.plan?.request === release.request.digest)!;
    const count = { requests: 20, failures: 1, slow: 2 };
    const said = world.statement(
      'stepVerdict',
      { name: `digits@${release.name.version}`, sha256: release.release },
      {
        ...{ environment: 'test', ...release.name, document: step.digest, revision: step.document.revision },
        ...{
          verdict,
          reason: verdict === 'pass' ? null : 'too slow',
          watchedSince: world.at(-19),
          issuedAt: world.at(-18),
        },
        counts: step.document.releases.map((entry) => ({
          ...{ release: entry.release, version: entry.version, weight: entry.weight, ...count },
        })),
      },
      by,
    );
    keep(life, storeKeys.statement(said.digest), said);
    const record = recordAbout(release, world.at);
    const of = { statement: said.digest, before: step.digest, after: said.digest };
    life.records.push(record('rollout.judged', -18, 'control', of));
    return life;
  }

  it('shows what callers got, of it and of what was beside it', async () => {
    const evidence = await dossierOf(judged('pass'));
    expect(failing(evidence)).toEqual([]);
    const steps = evidence.steps.filter((each) => each.judged !== null);
    expect(steps.map((each) => each.judged)).toMatchObject([
      {
        ...{ verdict: 'pass', reason: null, own: { version: '1.1.0', requests: 20, failures: 1, slow: 2 } },
        beside: [{ version: '1.0.0', requests: 20 }],
      },
    ]);
    expect(renderPage(evidence)).toMatch(/What the watch of each step counted[\s\S]*1 of 20[\s\S]*2 of 20/);
  });

  it('attack: it does not go on against the verdict of its watch, and a verdict by another than control is none', async () => {
    expect(failing(await dossierOf(judged('fail')))).toEqual(['draft-C3.3.1']);
    const forged = await dossierOf(judged('fail', 'alice'));
    expect(forged.steps.filter((each) => each.judged !== null)).toEqual([]);
  });
});

describe('a release whose training data were vouched for', () => {
  const DATA = sha256('a list of files');

  function trained({
    unlogged = false,
    to = 'dana',
    data = DATA,
  }: { unlogged?: boolean; to?: string; data?: string } = {}) {
    const world = createWorld();
    const { at } = world;
    const subject = { name: 'data/digits', sha256: DATA };
    const about = { environment: 'test', source: 'digits' };
    const given = { from: 'archive', to, previous: null, reason: 'for training', issuedAt: at(-200) };
    const handover = world.statement('handover', subject, { ...about, ...given }, 'archive');
    const licence = { licence: 'CC0-1.0', origin: 'https://example.org', files: 2, croissant: null };
    const vouched = world.statement(
      'dataSource',
      subject,
      { ...about, publisher: 'archive', ...licence, chain: [handover.digest], issuedAt: at(-190) },
      'dana',
    );
    const annotations = { kind: 'training-data', statement: vouched.digest };
    const set = { name: 'digits', digest: { dirHash: data }, annotations };
    const life = releaseInService(world, {
      release: {
        provenance: (usual) => ({
          ...usual,
          buildDefinition: { ...usual.buildDefinition, resolvedDependencies: [set] },
        }),
      },
    });
    for (const each of [handover, vouched]) keep(life, storeKeys.statement(each.digest), each);
    const record = recordAbout(life.release, at);
    const of = {
      statement: vouched.digest,
      after: vouched.digest,
      subject: { model: '', version: null, release: null },
    };
    if (!unlogged) life.records.push(record('data.registered', -180, 'dana', of));
    return life;
  }

  it('shows through whose hands they came, and that this was in the log', async () => {
    const evidence = await dossierOf(trained());
    expect(failing(evidence)).toEqual([]);
    expect(rowOf(evidence, 'C3.5.3')).toMatchObject({
      ...{ state: 'holds', says: 'digits: 2 files, CC0-1.0, archive → dana' },
    });
    expect(evidence.documents.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['dataSource', 'handover']));
    expect(evidence.timeline).toContainEqual(expect.objectContaining({ change: 'data.registered', about: 'data' }));
  });

  it('attack: fails with a broken chain, or a registration that is not in the log', async () => {
    expect(failing(await dossierOf(trained({ to: 'dora' })))).toEqual(['draft-C3.5.3']);
    expect(failing(await dossierOf(trained({ unlogged: true })))).toEqual(['draft-C3.5.3']);
  });

  it('attack: a statement about other data shows nothing', async () => {
    expect(statesOf(await dossierOf(trained({ data: sha256('others') })))).toMatchObject({ 'C3.5.3': 'no evidence' });
  });
});

describe('a release in service under an override', () => {
  function overridden(by: KeyName = 'vera') {
    const world = createWorld({ policy: withProvisions });
    const made: { request?: Signed<unknown>; said?: Signed<unknown> } = {};
    const life = releaseInService(world, {
      failed: ['quality/own/tone'],
      release: {
        rests: (about) => {
          const request = world.overrideRequest(about);
          const said = world.override(request, by);
          Object.assign(made, { request, said });
          return {
            names: { override: request.digest, 'override/1': said.digest },
            provisional: { override: { request: request.envelope, statements: [said.envelope] }, emergency: null },
          };
        },
      },
    });
    const { request, said } = made;
    keep(life, storeKeys.request(request!.digest), request!);
    keep(life, storeKeys.override(request!.digest, said!.digest), said!);
    const after = part(life, 'overridden', { request: request!.digest, approvals: [said!.digest], approvers: [by] });
    life.records.push(recordAbout(life.release, world.at)('release.overridden', -34, 'control', { after }));
    return life;
  }

  it('names what had failed, and who lifted it', async () => {
    const evidence = await dossierOf(overridden());
    expect(failing(evidence)).toEqual([]);
    expect(statesOf(evidence)).toMatchObject({ 'C3.2.2': 'holds', 'C3.2.3': 'holds', 'C3.4.1': 'holds' });
    expect(evidence.decisions).toContainEqual(expect.objectContaining({ who: 'vera' }));
    expect(evidence.cases).toContainEqual({ id: 'quality/own/tone', failure: 'too few' });
  });

  it('attack: by somebody who may not lift it, it is in service against its validation', async () => {
    expect(failing(await dossierOf(overridden('oscar')))).toEqual(expect.arrayContaining(['draft-C3.2.2']));
  });
});

describe('a release whose endpoint was killed, and restored', () => {
  function killed({ by = 'oscar', late = false }: { by?: KeyName; late?: boolean } = {}) {
    const life = releaseInService();
    const { world, release, objects, records } = life;
    const order = world.kill(by);
    keep(life, storeKeys.kill('digits', order.digest), order);
    const restored = world.restored(life.routes.at(-1)!, [order]);
    objects.set(storeKeys.route('digits', restored.document.revision), canonicalBytes(restored.envelope));
    objects.set(storeKeys.grounds(restored.digest), canonicalBytes(restored.approvals.map(({ digest }) => digest)));
    keep(life, storeKeys.request(restored.request!.digest), restored.request!);
    for (const each of restored.approvals) keep(life, storeKeys.statement(each.digest), each);
    const of = recordAbout(release, world.at);
    const subject = { model: 'digits', version: null, release: null };
    records.push(
      of('endpoint.killed', -9, by, { subject, statement: order.digest, after: order.digest }),
      ...(late ? [of('kill.late', -8, 'control', { subject, after: order.digest, reason: 'gateway 1 took 9 s' })] : []),
      of('endpoint.restored', -7, 'olga and otto', { subject, before: order.digest, after: restored.request!.digest }),
      of('route.changed', -6, 'control', {
        ...{ subject, statement: restored.digest, after: restored.digest, before: restored.document.previous },
      }),
    );
    return life;
  }

  it('names the order, and shows that no gateway was late', async () => {
    const evidence = await dossierOf(killed());
    expect(failing(evidence)).toEqual([]);
    expect(statesOf(evidence)).toMatchObject({ 'C3.3.4': 'holds', 'C3.4.1': 'holds', 'C3.4.4': 'holds' });
    expect(evidence.decisions).toContainEqual(expect.objectContaining({ who: 'oscar', act: 'kills' }));
  });

  it('attack: fails with a gateway that was late, and with an order that nobody who may has signed', async () => {
    expect(failing(await dossierOf(killed({ late: true })))).toContain('draft-C3.3.4');
    expect(failing(await dossierOf(killed({ by: 'mallory' })))).toContain('draft-C3.3.4');
  });
});

describe('a release that was trained in stages', () => {
  interface Staging {
    readonly by?: KeyName;
    readonly about?: string;
    readonly buildType?: string;
    readonly isKept?: boolean;
  }

  function trained({ by = 'trainer', about, buildType = STAGE_BUILD, isKept = true }: Staging = {}) {
    const world = createWorld();
    const checkpoints: ReturnType<typeof world.statement>[] = [];
    const [files, stages] = [sha256('its files'), ['pretrain', 'tune']];
    const before = (): ProvenancePredicate['buildDefinition']['resolvedDependencies'] =>
      checkpoints.slice(-1).map(({ digest }) => ({
        ...{ name: stages[checkpoints.length - 1] as string, digest: { dirHash: files } },
        annotations: { kind: 'checkpoint', statement: digest },
      }));
    const { predicate } = world.release().provenance;
    for (const [at, name] of stages.entries()) {
      const resolvedDependencies = [...predicate.buildDefinition.resolvedDependencies, ...before()];
      const said = { ...predicate, buildDefinition: { ...predicate.buildDefinition, buildType, resolvedDependencies } };
      const subject = at === 0 && about !== undefined ? about : files;
      checkpoints.push(world.statement('provenance', { name, sha256: subject }, said, by));
    }
    const life = releaseInService(world, {
      release: {
        provenance: (usual) => ({
          ...usual,
          buildDefinition: {
            ...usual.buildDefinition,
            resolvedDependencies: [...usual.buildDefinition.resolvedDependencies, ...before()],
          },
        }),
      },
    });
    for (const made of checkpoints.slice(isKept ? 0 : 1)) keep(life, storeKeys.statement(made.digest), made);
    return life;
  }
  const row = async (life: ReturnType<typeof trained>) =>
    (await dossierOf(life)).requirements.find(({ id }) => id === 'v1.0-C3.5.4');

  it('shows each checkpoint, back to the first', async () => {
    expect(await row(trained())).toMatchObject({
      ...{ state: 'holds', says: 'a signed checkpoint of each stage: pretrain, tune' },
    });
    expect((await row(trained()))?.documents).toHaveLength(2);
  });

  it.each<[string, Staging]>([
    ['is not there', { isKept: false }],
    ['is about other files', { about: sha256('other files') }],
    ['is signed by another than its producer', { by: 'control' }],
    ['is of no stage', { buildType: 'urn:other' }],
  ])('attack: fails with one that %s', async (_, change) => {
    expect(await row(trained(change))).toMatchObject({ state: 'fails' });
  });
});

describe('a release whose training had a network', () => {
  const at = { host: 'a.example', port: 443, address: '192.0.2.7', openedOn: '2026-01-01T00:00:00.000Z' };
  const network = { destinations: ['a.example:443'], connections: [{ ...at, up: 10, down: 20 }] };
  const said = async (more: object): Promise<string | undefined> => {
    const life = releaseInService(createWorld(), {
      release: {
        provenance: (usual) => ({
          ...usual,
          buildDefinition: { ...usual.buildDefinition, internalParameters: { sandbox: 'bubblewrap', ...more } },
        }),
      },
    });
    return rowOf(await dossierOf(life), 'C3.5.2')?.says;
  };

  it('says what it might reach and how much went, or that there was none', async () => {
    expect(await said({ network })).toMatch(
      /through a proxy that let it reach a\.example:443: 1 connections, 10 bytes/,
    );
    expect(await said({})).toMatch(/it had no network$/);
  });

  it('attack: what is no account of one is not taken for none', async () => {
    expect(await said({ network: { ...network, connections: 'few' } })).toMatch(/what it reached is not recorded$/);
  });
});
