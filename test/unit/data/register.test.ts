import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { filesOf, registeredSource } from '../../../adapters/data-sources.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import { copyData, demandData, listData } from '../../../adapters/source/data.js';
import { handOver, vouchFor } from '../../../client/data.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { MAX_HANDOVERS } from '../../../formats/data-source-schema.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { sha256 } from '../../../formats/sha256.js';
import { dataZones, registerData, signerIn, vouched } from '../../support/data.js';
import { createWorld, type World } from '../../support/world.js';

const root = mkdtempSync(join(tmpdir(), 'custody-data-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let world: World;
let records: Records;
let zones: ReturnType<typeof dataZones>;
let folder: string;
let count = 0;

function write(files: Readonly<Record<string, string>>): string {
  const made = join(root, String((count += 1)));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(made, path, '..'), { recursive: true });
    writeFileSync(join(made, path), text);
  }
  return made;
}

beforeEach(async () => {
  world = createWorld();
  records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  await records.bucket.createOnce(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  zones = dataZones(records);
  folder = write({ 'images/a.csv': '1,2', 'labels.json': '[]' });
});

describe('data that are registered', () => {
  it('may be used: every byte and every handover was checked, and the log says so', async () => {
    const { handover, statement, data } = await vouched(world, folder);
    const admitted = await zones.admit('digits', statement, [handover]);
    expect(admitted).toEqual({ statement: envelopeDigest(statement), list: data.list, by: 'dana' });
    await expect(registeredSource(records, admitted.statement)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
    const taken = await zones.take('digits', admitted, folder);
    expect(taken).toEqual({ files: 2, bytes: 5 });
    await zones.record('digits', admitted, taken);
    const source = await registeredSource(records, admitted.statement);
    expect((await filesOf(records, source)).map(({ path }) => path)).toEqual(['images/a.csv', 'labels.json']);
    expect(zones.log).toMatchObject([
      {
        ...{
          change: 'data.registered',
          after: admitted.statement,
          actor: { id: 'dana', statement: admitted.statement },
        },
        reason: expect.stringContaining('digits: 2 files, 5 bytes, CC0-1.0, archive → dana'),
      },
    ]);
  });

  it('are registered once, however often they are handed in', async () => {
    const { handover, statement } = await vouched(world, folder);
    for (let again = 0; again < 2; again += 1) {
      const admitted = await zones.admit('digits', statement, [handover]);
      await zones.record('digits', admitted, await zones.take('digits', admitted, folder));
    }
    expect(new Set(zones.log.map(({ id }) => id)).size).toBe(1);
  });

  it('attack: count no more once their publisher is no longer trusted', async () => {
    const statement = await registerData(records, world, folder);
    const next = world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.filter(({ id }) => id !== 'archive'),
    }));
    await records.bucket.createOnce(storeKeys.policy(2), canonicalBytes(next.envelope));
    await expect(registeredSource(records, statement)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it('attack: are not those of a list that somebody has put in its place', async () => {
    const { handover, statement, data } = await vouched(world, folder);
    await records.bucket.createOnce(storeKeys.fileList(data.list), Buffer.from(`${sha256('x')}  a\n`));
    const admitted = await zones.admit('digits', statement, [handover]);
    await zones.record('digits', admitted, await zones.take('digits', admitted, folder));
    const source = await registeredSource(records, admitted.statement);
    await expect(filesOf(records, source)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });
});

describe('attack: data are refused', () => {
  const refused = async (changed: string): Promise<unknown> => {
    const { handover, statement } = await vouched(world, folder);
    const admitted = await zones.admit('digits', statement, [handover]);
    return zones.take('digits', admitted, changed).then(
      () => 'taken',
      (error: unknown) => (error as { code?: string }).code,
    );
  };

  it.each<[string, (changed: string) => void]>([
    ['with a changed byte', (changed) => writeFileSync(join(changed, 'labels.json'), '{}')],
    ['with a file more', (changed) => writeFileSync(join(changed, 'more.csv'), '')],
    ['with a file less', (changed) => rmSync(join(changed, 'labels.json'))],
    ['with a description that came later', (changed) => writeFileSync(join(changed, 'croissant.json'), '{}')],
  ])('%s', async (_, change) => {
    const changed = write({});
    cpSync(folder, changed, { recursive: true });
    change(changed);
    expect(await refused(changed)).toBe('DIGEST_MISMATCH');
  });

  it('with a link', async () => {
    const changed = write({ 'images/a.csv': '1,2' });
    symlinkSync('/etc/passwd', join(changed, 'labels.json'));
    expect(await refused(changed)).toBe('INPUT_UNSAFE');
  });

  it('whose description does not fit them', async () => {
    const file = { '@type': 'cr:FileObject', name: 'labels', contentUrl: 'labels.json', sha256: sha256('others') };
    const described = write({
      'labels.json': '[]',
      'croissant.json': JSON.stringify({ '@type': 'sc:Dataset', distribution: [file] }),
    });
    const { handover, statement } = await vouched(world, described);
    const admitted = await zones.admit('digits', statement, [handover]);
    await expect(zones.take('digits', admitted, described)).rejects.toMatchObject({ code: 'CUSTODY_BROKEN' });
  });

  it('of another name, with a handover less, and by a stranger; each refusal is in the log', async () => {
    const { handover, statement, data } = await vouched(world, folder);
    const said = { publisher: 'archive', licence: 'CC0-1.0', origin: 'x' };
    const forged = vouchFor(signerIn(world, 'mallory'), data, said, [handover]);
    await expect(zones.admit('letters', statement, [handover])).rejects.toMatchObject({ code: 'REPLAYED' });
    await expect(zones.admit('digits', statement, [])).rejects.toMatchObject({ code: 'CUSTODY_BROKEN' });
    await expect(zones.admit('digits', forged, [handover])).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(zones.log.map(({ change }) => change)).toEqual(Array.from({ length: 3 }, () => 'message.refused'));
    expect(await records.bucket.read(storeKeys.statement(envelopeDigest(statement)))).toBeNull();
  });

  it.each([
    ...([undefined, null, 'x', {}, { length: 1 }, { map: 1 }] as const),
    Array.from({ length: MAX_HANDOVERS + 1 }, () => 'x'),
  ])('with something else than a list of handovers: %j; once, since it gets no better', async (handovers) => {
    const { statement } = await vouched(world, folder);
    const admitted = zones.admit('digits', statement, handovers as readonly unknown[]);
    await expect(admitted).rejects.toMatchObject({ code: 'MALFORMED' });
    expect(zones.log).toMatchObject([{ change: 'message.refused' }]);
  });

  it('that nobody has admitted, or taken', async () => {
    const { handover, statement } = await vouched(world, folder);
    const unknown = { statement: envelopeDigest(statement), list: sha256('x'), by: 'dana' };
    await expect(zones.take('digits', unknown, folder)).rejects.toMatchObject({ code: 'INPUT_MISSING' });
    const admitted = await zones.admit('digits', statement, [handover]);
    const record = zones.record('digits', admitted, { files: 2, bytes: 5 });
    await expect(record).rejects.toMatchObject({ code: 'REPLAYED' });
  });

  it('from a publisher whose key had ended when the handover came', async () => {
    const ended = world.nextPolicy((policy) => ({
      ...policy,
      authorities: policy.authorities.map((each) =>
        each.id === 'archive'
          ? { ...each, keys: each.keys.map((key) => ({ ...key, validUntil: world.at(-3600) })) }
          : each,
      ),
    }));
    await records.bucket.createOnce(storeKeys.policy(2), canonicalBytes(ended.envelope));
    const { handover, statement } = await vouched(world, folder);
    await expect(zones.admit('digits', statement, [handover])).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });
});

describe('a copy of data', () => {
  it('has the listed files and no other, and is made sure of', async () => {
    const { files } = await listData(folder);
    writeFileSync(join(folder, 'later.csv'), 'unlisted');
    const target = join(root, 'copy');
    expect(await copyData(folder, files, target)).toBe(5);
    expect(await demandData(target, files)).toBe(5);
    await expect(demandData(folder, files)).rejects.toMatchObject({ details: { path: 'later.csv' } });
  });

  it('attack: is refused where a file has changed, or is gone', async () => {
    const { files } = await listData(folder);
    writeFileSync(join(folder, 'labels.json'), '{}');
    await expect(copyData(folder, files, join(root, 'changed'))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    rmSync(join(folder, 'labels.json'));
    await expect(copyData(folder, files, join(root, 'gone'))).rejects.toMatchObject({ code: 'INPUT_MISSING' });
  });

  it('says of a handover by whom it was given, and after which', async () => {
    const { handover, data } = await vouched(world, folder);
    const next = handOver(signerIn(world, 'dana'), data, { to: 'dora', reason: 'on holiday', after: handover });
    const { verified } = await records.verify('handover', next);
    expect(verified).toMatchObject({
      ...{ subject: data.list, signers: ['dana'] },
      predicate: { from: 'dana', to: 'dora', previous: envelopeDigest(handover) },
    });
  });
});
