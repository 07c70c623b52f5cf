import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeDossier } from '../../../client/evidence/dossier.js';
import { evidenceSchema } from '../../../client/evidence/model.js';
import { verifyDossier } from '../../../client/evidence/verify.js';
import { publishedLog, releaseInService, storeOf, NAME } from '../../support/evidence.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-evidence-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const inService = releaseInService();
const { world } = inService;
const records = await storeOf(inService);
const { log, vkey } = await publishedLog(inService.records);
const signer = { key: world.keys.ada, id: 'ada', environment: 'test', policy: world.policyDigest };
const made = join(folder, 'made');

describe('a dossier', () => {
  it('is made, and verifies by itself', async () => {
    const evidence = await makeDossier({ records, log, signer, vkey }, NAME, made);
    expect(evidenceSchema.parse(evidence)).toEqual(evidence);
    expect(await verifyDossier(made, { root: world.root, vkey })).toEqual(evidence);
    if (process.env['OUT']) cpSync(made, process.env['OUT'], { recursive: true });
  });
});
