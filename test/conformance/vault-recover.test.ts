import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tilesOf } from '../../adapters/audit/http.js';
import { openAuditLog } from '../../adapters/audit/log.js';
import { PublishedLog } from '../../adapters/audit/published.js';
import { createMemoryStore } from '../../adapters/object-store/memory.js';
import type { AuditRecord } from '../../domain/audit.js';
import type { RecoveryEvidence } from '../../domain/evidence.js';
import { lifecycleId } from '../../domain/names.js';
import type { AuditQuestionPredicate, SignedEnvelope } from '../../domain/statements.js';
import { isoTime } from '../../domain/time.js';
import { encodeVerifierKey } from '../../formats/signed-note.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { sha256 } from '../../formats/sha256.js';
import { encodeProof } from '../../formats/tlog-proof.js';
import { LOG_ORIGIN, logKey } from '../support/log-key.js';
import { createWorld, nonce, type KeyName, type Release, type World } from '../support/world.js';
import { codeOf, digestsOf, ingest, VaultBench, type VaultProcess } from './vault-process.js';

let bench: VaultBench;
let world: World;
let vault: VaultProcess;
let release: Release;
let other: Release;

beforeAll(async () => {
  bench = await VaultBench.create();
  world = createWorld();
  vault = await bench.start(await bench.state(), world.root);
  release = world.release({ version: '1.0.0', files: { 'a.json': '[1]', 'b.json': '[2]' } });
  other = world.release({ version: '2.0.0', files: { 'a.json': '[3]' } });
  await ingest(vault, release);
  await ingest(vault, other);
});
afterAll(() => bench.close());

function question(about: Release, by: KeyName = 'ada', changes: Partial<AuditQuestionPredicate> = {}): SignedEnvelope {
  const said: AuditQuestionPredicate = {
    ...{ environment: world.environment, nonce: nonce(), question: 'recover', at: null, seen: 0 },
    ...about.name,
    ...{ issuedAt: world.at(-5), expiresAt: world.at(300) },
    ...changes,
  };
  return world.statement('auditQuestion', { name: 'audit', sha256: about.release }, said, by).envelope;
}

function recordOf(asked: SignedEnvelope, about: Release, changes: Partial<AuditRecord> = {}): AuditRecord {
  const statement = envelopeDigest(asked);
  return {
    ...{ id: sha256(statement), time: isoTime(Date.now()), actor: { id: 'ada', statement }, change: 'log.read' },
    ...{ subject: { ...about.name, release: about.release }, before: null, after: statement, policy: null },
    ...{ workflow: null, reason: 'read: recover' },
    ...changes,
  };
}

async function proofOf(record: AuditRecord, key = logKey): Promise<string> {
  const store = createMemoryStore();
  const buckets = { audit: store.bucket('audit'), log: store.bucket('log', { objectLock: false, versioning: false }) };
  const lock = async () => ({ retainUntil: '2099-01-01T00:00:00.000Z' });
  const vkey = encodeVerifierKey(LOG_ORIGIN, key);
  const log = await openAuditLog({ ...buckets, key, vkey, lock });
  await log.append([{ ...record, id: 'another', change: 'release.signed' }, record]);
  const published = await PublishedLog.open(tilesOf(buckets), vkey);
  return encodeProof(await published.prove(1));
}

async function evidenceOf(
  about: Release,
  asked: SignedEnvelope,
  changes: Partial<RecoveryEvidence> = {},
): Promise<RecoveryEvidence> {
  const proof = changes.proof ?? (await proofOf(recordOf(asked, about)));
  return { policies: [world.policyEnvelope], manifest: about.manifestText, question: asked, ...changes, proof };
}

const recover = (evidence: RecoveryEvidence, sha256s = digestsOf(release)) =>
  vault.client.recover({ sha256s, evidence });

describe('an auditor has a release restored', () => {
  it('by a question that is in the audit log: the keys that serving gets', async () => {
    const evidence = { ...release.evidence, status: world.status().envelope };
    const served = await vault.client.open({ sha256s: digestsOf(release), evidence });
    expect(await recover(await evidenceOf(release, question(release)))).toEqual(served);
  });

  it.each<[string, string, () => Promise<RecoveryEvidence>]>([
    ['by an operator', 'NOT_AUTHORISED', () => evidenceOf(release, question(release, 'oscar'))],
    ['by a stranger', 'SIGNATURE_INVALID', () => evidenceOf(release, question(release, 'mallory'))],
    ['about another release', 'REPLAYED', () => evidenceOf(release, question(other))],
    [
      'of another environment',
      'REPLAYED',
      () => evidenceOf(release, question(release, 'ada', { environment: 'prod' })),
    ],
    ['to read the log', 'REPLAYED', () => evidenceOf(release, question(release, 'ada', { question: 'log' }))],
    [
      'that is over',
      'EXPIRED',
      () => evidenceOf(release, question(release, 'ada', { issuedAt: world.at(-900), expiresAt: world.at(-600) })),
    ],
    [
      'with the record of another question',
      'REPLAYED',
      async () =>
        evidenceOf(release, question(release), { proof: await proofOf(recordOf(question(release), release)) }),
    ],
    [
      'that the log has as refused',
      'REPLAYED',
      async () => {
        const asked = question(release);
        const refused = recordOf(asked, release, { subject: { model: '', version: null, release: null } });
        return evidenceOf(release, asked, { proof: await proofOf(refused) });
      },
    ],
    [
      'in another log',
      'SIGNATURE_INVALID',
      async () => {
        const asked = question(release);
        const key = importPrivateKey(generateKey('ed25519').privatePem);
        return evidenceOf(release, asked, { proof: await proofOf(recordOf(asked, release), key) });
      },
    ],
    ['without a proof', 'MALFORMED', () => evidenceOf(release, question(release), { proof: 'none' })],
  ])('attack: not by a question %s', async (_, code, evidence) => {
    expect(await codeOf(recover(await evidence()))).toBe(code);
  });

  it('attack: not with files of another release', async () => {
    const foreign = [...digestsOf(release), ...digestsOf(other)];
    expect(await codeOf(recover(await evidenceOf(release, question(release)), foreign))).toBe('NOT_AUTHORISED');
  });

  it('also where it is revoked and serving gets nothing any more; never after its keys were destroyed', async () => {
    const revoked = world.status({ revoked: [release.release] }).envelope;
    const evidence = { ...release.evidence, status: revoked };
    expect(await codeOf(vault.client.open({ sha256s: digestsOf(release), evidence }))).toBe('REVOKED');
    expect(await recover(await evidenceOf(release, question(release)))).toHaveLength(2);

    const retirement = world.retirement(release);
    const said = { reason: 'replaced', request: retirement.request.digest, issuedAt: isoTime(Date.now()) };
    const subject = { name: lifecycleId(release.name), sha256: release.release };
    const { environment } = world;
    const revocation = world.statement(
      'revocation',
      subject,
      { environment, ...release.name, ...said },
      'release-signer',
    );
    await vault.client.destroy({
      ...{ release: release.release, evidence: retirement.evidence, revocation: revocation.envelope },
    });
    expect(await codeOf(recover(await evidenceOf(release, question(release))))).toBe('ERASED');
  });
});
