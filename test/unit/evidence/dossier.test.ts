import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dossierFiles, DOSSIER_MANIFEST, openDossier } from '../../../adapters/evidence/folder.js';
import { makeDossier } from '../../../client/evidence/dossier.js';
import { evidenceSchema, type Evidence } from '../../../client/evidence/model.js';
import { verifyDossier } from '../../../client/evidence/verify.js';
import type { DossierFile } from '../../../domain/dossier.js';
import { CustodyError } from '../../../domain/errors.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { parseJson } from '../../../formats/json.js';
import { sha256 } from '../../../formats/sha256.js';
import { signStatement } from '../../../formats/statements.js';
import { encodeProof } from '../../../formats/tlog-proof.js';
import { createWorld, type KeyName } from '../../support/world.js';
import { NAME, publishedLog, releaseInService, storeOf } from '../../support/evidence.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-evidence-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const inService = releaseInService();
const { world, release } = inService;
const records = await storeOf(inService);
const { log, vkey } = await publishedLog(inService.records);
const trust = { root: world.root, vkey };
const signer = { key: world.keys.ada, id: 'ada', environment: 'test', policy: world.policyDigest };
const made = join(folder, 'made');
let evidence: Evidence;

/** A copy that the attacks are tried on. */
const copy = join(folder, 'copy');
beforeAll(async () => {
  evidence = await makeDossier({ records, log, signer, vkey }, NAME, made);
});
beforeEach(() => {
  rmSync(copy, { recursive: true, force: true });
  cpSync(made, copy, { recursive: true });
});

const at = (path: string): string => join(copy, path);
const statement = (digest: string): string => `store/${storeKeys.statement(digest)}.intoto.jsonl`;

function edit(path: string, change: (text: string) => string): void {
  const before = readFileSync(at(path), 'utf8');
  const after = change(before);
  if (after === before) throw new Error(`${path} was not changed`);
  writeFileSync(at(path), after);
}

/** What somebody does who has the key of an auditor, and is not to be trusted: the manifest fits whatever is in the folder. */
async function signAgain(by: KeyName = 'ada', edited: Partial<{ environment: string }> = {}): Promise<void> {
  const { claimed } = await openDossier(made);
  const stored = new Map(claimed.files.map((file) => [file.path, file.stored]));
  const keyOf = (path: string): DossierFile['stored'] =>
    path.startsWith('store/')
      ? { key: path.slice('store/'.length).replace(/\.(intoto\.jsonl|json)$/, ''), at: claimed.issuedAt }
      : null;
  const files = new Map(
    readdirSync(copy, { recursive: true, encoding: 'utf8' })
      .filter((path) => path !== DOSSIER_MANIFEST && statSync(at(path)).isFile())
      .map((path) => [path, { bytes: readFileSync(at(path)), stored: stored.get(path) ?? keyOf(path) }]),
  );
  const predicate = { ...claimed, ...edited, files: dossierFiles(files) };
  const subject = { name: 'evidence.json', sha256: sha256(files.get('evidence.json')?.bytes ?? '') };
  writeFileSync(at(DOSSIER_MANIFEST), canonicalBytes(signStatement('dossier', subject, predicate, [world.keys[by]])));
}

async function refusal(given = trust): Promise<Pick<CustodyError, 'code' | 'message'> & { file: unknown }> {
  try {
    await verifyDossier(copy, given);
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    return { code: error.code, message: error.message, file: error.details['file'] };
  }
  throw new Error('it was accepted');
}

describe('a dossier', () => {
  it('verifies by itself, and comes to the same', async () => {
    expect(evidenceSchema.parse(parseJson(readFileSync(at('evidence.json')), 'it', { maxBytes: 1e7 }))).toEqual(
      evidence,
    );
    expect(await verifyDossier(copy, trust)).toEqual(evidence);
  });

  it('says of every requirement what holds, and of none that nothing shows that it does', () => {
    const states = Object.fromEntries(evidence.requirements.map(({ id, state }) => [id, state]));
    expect(Object.keys(states)).toHaveLength(26 + 15);
    expect(states).toMatchObject({
      ...{ 'draft-C3.1.1': 'holds', 'draft-C3.1.3': 'holds', 'draft-C3.2.1': 'holds', 'draft-C3.3.1': 'holds' },
      ...{ 'draft-C3.4.1': 'holds', 'draft-C3.4.2': 'holds', 'draft-C3.4.4': 'holds', 'v1.0-C9.2.8': 'holds' },
      ...{ 'draft-C3.2.2': 'not concerned', 'draft-C3.3.4': 'not concerned', 'draft-C3.6.1': 'not concerned' },
      ...{ 'draft-C3.5.2': 'no evidence', 'draft-C3.5.4': 'no evidence', 'draft-C3.3.5': 'no evidence' },
    });
    for (const { state, checked } of evidence.requirements) expect(state !== 'holds' || checked !== '').toBe(true);
    expect(evidence).toMatchObject({ standing: 'in service', release: release.release, madeBy: 'ada' });
  });

  it('has every statement, and of the log the records of this release and no other', () => {
    expect(evidence.timeline.map(({ index }) => index)).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
    for (const { path, failure } of evidence.documents) expect([existsSync(at(path)), failure]).toEqual([true, null]);
    expect(evidence.documents.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['policy', 'request', 'approval', 'provenance', 'testResult', 'scan', 'change', 'route']),
    );
    expect(evidence.decisions).toContainEqual(
      expect.objectContaining({ who: 'alice', roles: ['release-approver'], act: 'approve' }),
    );
    expect(evidence.quorums).toMatchObject([{ role: 'release-approver', people: ['alice'], holds: true }]);
  });

  it('is not written over what is there', async () => {
    await expect(makeDossier({ records, log, signer, vkey }, NAME, made)).rejects.toMatchObject({ code: 'USAGE' });
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('attack: is not made by whoever is no auditor', async () => {
    const by = { ...signer, id: 'alice', key: world.keys.alice };
    await expect(makeDossier({ records, log, signer: by, vkey }, NAME, join(folder, 'no'))).rejects.toMatchObject({
      code: 'NOT_AUTHORISED',
    });
    expect(existsSync(join(folder, 'no'))).toBe(false);
  });
});

describe('attack: a file that is not what was signed for', () => {
  const approval = (): string => statement(release.approvals[0]?.digest ?? '');

  it.each([
    [
      'the page says something else',
      () => 'evidence.html',
      (path: string) => edit(path, (text) => text.replace('in service', 'in disgrace')),
    ],
    ['a statement was changed', approval, (path: string) => edit(path, (text) => text.replace('"sig":"', '"sig":"A'))],
    ['a statement is missing', approval, (path: string) => rmSync(at(path))],
    ['a proof is missing', () => 'log/000000007.tlog-proof', (path: string) => rmSync(at(path))],
    ['a file was added', () => 'store/statements/more.json', (path: string) => writeFileSync(at(path), '{}')],
    [
      'a file was renamed',
      () => 'log/000000077.tlog-proof',
      (path: string) => renameSync(at('log/000000007.tlog-proof'), at(path)),
    ],
  ])('%s', async (_, path, attack) => {
    attack(path());
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: path() });
  });

  it('there is no manifest, or one by somebody else', async () => {
    await signAgain('mallory');
    expect(await refusal()).toMatchObject({ code: 'SIGNATURE_INVALID', file: DOSSIER_MANIFEST });
    await signAgain('alice');
    expect(await refusal()).toMatchObject({ code: 'NOT_AUTHORISED', file: DOSSIER_MANIFEST });
    rmSync(at(DOSSIER_MANIFEST));
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: DOSSIER_MANIFEST });
  });

  it('the verifier trusts another root, or another log', async () => {
    expect((await refusal({ ...trust, root: createWorld().root })).code).toMatch(/SIGNATURE_INVALID|POLICY_REFUSED/);
    const { vkey: other } = await publishedLog([]);
    expect(await refusal({ ...trust, vkey: other })).toMatchObject({
      code: 'SIGNATURE_INVALID',
      file: 'log/checkpoint',
    });
  });
});

describe('attack: an auditor who lies signs whatever he likes', () => {
  it.each(['evidence.html', 'bom.cdx.json'])('%s says something else than the evidence', async (path) => {
    edit(path, (text) => text.replace('digits', 'widgets'));
    await signAgain();
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: path });
  });

  it('a requirement that nothing shows is said to hold', async () => {
    edit('evidence.json', (text) => text.replace('"state":"no evidence"', '"state":"holds"'));
    await signAgain();
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: 'evidence.json' });
  });

  it('a statement is one of another release', async () => {
    const other = releaseInService(world);
    const another = world.release({ version: '1.1.0' });
    const path = statement(release.testResult.digest);
    writeFileSync(at(path), canonicalBytes(another.testResult.envelope));
    await signAgain();
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: 'evidence.json' });
    cpSync(join(made, path), at(path));
    writeFileSync(at(statement(another.testResult.digest)), canonicalBytes(another.testResult.envelope));
    await signAgain();
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: statement(another.testResult.digest) });
    expect(other.release.release).toBe(release.release);
  });

  it('a statement, a record, or the proof of one is left out', async () => {
    for (const path of [
      statement(release.approvals[0]?.digest ?? ''),
      'store/records/digits/1.0.0/approved.json',
      'log/000000006.tlog-proof',
    ]) {
      rmSync(at(path));
      await signAgain();
      expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: 'evidence.json' });
      cpSync(join(made, path), at(path));
    }
  });

  it('a proof is of another log, or of a record of another release', async () => {
    const key = 'log/000000006.tlog-proof';
    const { log: forged } = await publishedLog(inService.records);
    writeFileSync(at(key), encodeProof(await forged.prove(6)));
    await signAgain();
    expect(await refusal()).toMatchObject({ code: 'SIGNATURE_INVALID', file: key });
    cpSync(join(made, key), at(key));
    writeFileSync(at('log/000000003.tlog-proof'), encodeProof(await log.prove(3)));
    await signAgain();
    expect(await refusal()).toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: expect.stringContaining('record 3') as string,
    });
  });

  it('an object lies under another key than its own, or beside the store', async () => {
    writeFileSync(at('notes.txt'), 'all is well');
    await signAgain();
    expect(await refusal()).toMatchObject({ code: 'DIGEST_MISMATCH', file: 'notes.txt' });
  });

  it('it is made for another environment', async () => {
    await signAgain('ada', { environment: 'prod' });
    expect(await refusal()).toMatchObject({ code: 'REPLAYED', file: DOSSIER_MANIFEST });
  });
});

describe('attack: what speaks against a release is in its dossier', () => {
  it.each([
    [
      'a record of the store that the log has otherwise',
      storeKeys.record(NAME, 'rollout'),
      canonicalBytes({ kind: 'promoted', revision: 9 }),
      'draft-C3.4.1',
    ],
    [
      'a nonce that was used for something else',
      storeKeys.nonce(release.approvals[0]?.predicate.nonce ?? ''),
      canonicalBytes({ statement: 'f'.repeat(64), request: release.request.digest }),
      'v1.0-C9.2.8',
    ],
  ])('%s', async (_, key, body, id) => {
    const objects = new Map(inService.objects).set(key, body);
    const name = join(folder, id);
    const found = await makeDossier({ records: await storeOf({ world, objects }), log, signer, vkey }, NAME, name);
    expect(found.requirements.find((each) => each.id === id)).toMatchObject({ state: 'fails' });
    expect(readFileSync(join(name, 'evidence.html'), 'utf8')).toContain('not hold');
    expect(await verifyDossier(name, trust)).toEqual(found);
  });

  it('a release that the log never saw signed before it was routed', async () => {
    const swapped = [...inService.records];
    const at = (change: string): number => swapped.findIndex((each) => each.change === change);
    const [signed, routed] = [at('release.signed'), at('route.changed')];
    [swapped[signed], swapped[routed]] = [swapped[routed]!, swapped[signed]!];
    const other = await publishedLog(swapped);
    const found = await makeDossier({ records, log: other.log, signer, vkey: other.vkey }, NAME, join(folder, 'late'));
    expect(found.requirements.find((each) => each.id === 'draft-C3.1.1')).toMatchObject({ state: 'fails' });
  });
});
