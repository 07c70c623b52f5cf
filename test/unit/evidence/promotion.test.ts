import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { makeDossier } from '../../../client/evidence/dossier.js';
import { verifyDossier } from '../../../client/evidence/verify.js';
import type { Policy } from '../../../domain/policy.js';
import { publishedLog, releaseInService, storeOf } from '../../support/evidence.js';
import { createWorld, type ReleaseOptions } from '../../support/world.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-promoted-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const promoting = (policy: Policy): Policy => ({ ...policy, promotion: { from: 'before', maxAgeSeconds: 3600 } });
const world = createWorld({ policy: promoting });

async function rowOf(name: string, of: typeof world, options: ReleaseOptions) {
  const life = releaseInService(of, { release: options });
  const { log, vkey } = await publishedLog(life.records);
  const signer = { key: of.keys.ada, id: 'ada', environment: 'test', policy: of.policyDigest };
  const out = join(folder, name);
  const made = await makeDossier({ records: await storeOf(life), log, signer, vkey }, life.release.name, out);
  expect(await verifyDossier(out, { root: of.root, vkey })).toEqual(made);
  return made.requirements.find(({ id }) => id === 'draft-C3.5.1');
}

it('shows by whom a release was verified before it came in, with the summary in the dossier', async () => {
  const row = await rowOf('good', world, { promotion: (made) => world.summary(made) });
  expect(row).toMatchObject({
    state: 'holds',
    says: expect.stringMatching(/verified in before at .*, by test-signer/) as string,
  });
  expect(row?.documents.length).toBe(2);
});

it.each([
  ['none', {}],
  ['one of its own', { promotion: (made) => world.summary(made, {}, 'release-signer') }],
  ['one that FAILED', { promotion: (made) => world.summary(made, { verificationResult: 'FAILED' }) }],
] as [string, ReleaseOptions][])('attack: what came in with %s is found out', async (how, options) => {
  expect(await rowOf(how, world, options)).toMatchObject({ state: 'fails' });
});

it('says that nothing shows it where the policy lets releases in as they are', async () => {
  expect(await rowOf('open', createWorld(), {})).toMatchObject({ state: 'no evidence' });
});
