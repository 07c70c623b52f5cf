import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { makeDossier } from '../../../client/evidence/dossier.js';
import type { Evidence } from '../../../client/evidence/model.js';
import { verifyDossier } from '../../../client/evidence/verify.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { publishedLog, storeOf, type InService } from '../../support/evidence.js';
import type { Signed } from '../../support/world.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-ends-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** The dossier of what is in a store and a log, which verifies by itself and comes to the same. */
export async function dossierOf(life: InService): Promise<Evidence> {
  const { world, release } = life;
  const { log, vkey } = await publishedLog(life.records);
  const signer = { key: world.keys.ada, id: 'ada', environment: 'test', policy: world.policyDigest };
  const out = join(folder, String((count += 1)));
  const made = await makeDossier({ records: await storeOf(life), log, signer, vkey }, release.name, out);
  expect(await verifyDossier(out, { root: world.root, vkey })).toEqual(made);
  return made;
}

export const statesOf = ({ requirements }: Evidence) =>
  Object.fromEntries(requirements.map(({ id, state }) => [id.replace('draft-', ''), state]));
export const failing = (evidence: Evidence): string[] =>
  evidence.requirements.filter(({ state }) => state === 'fails').map(({ id }) => id);
export const rowOf = ({ requirements }: Evidence, id: string) => requirements.find((each) => each.id === `draft-${id}`);

export function keep({ objects }: InService, key: string, { envelope }: Pick<Signed<unknown>, 'envelope'>): void {
  objects.set(key, canonicalBytes(envelope));
}
