import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tryEvidence } from '../../client/isolation/vault.js';
import { createWorld, type World } from '../support/world.js';
import { digestsOf, ingest, VaultBench } from './vault-process.js';

/** What the matrix makes of the answers of a real vault. */

let bench: VaultBench;
let world: World;
beforeAll(async () => {
  bench = await VaultBench.create();
  world = createWorld();
});
afterAll(() => bench.close());

const asked = (of: World) => {
  const release = of.release();
  return {
    release,
    request: { sha256s: digestsOf(release), evidence: { ...release.evidence, status: of.status().envelope } },
  };
};

describe("evidence of one environment at another one's vault", () => {
  test('is refused by its policy chain, and by nothing that is looked at later', async () => {
    const vault = await bench.start(await bench.state(), createWorld({ environment: 'prod' }).root);
    expect(await tryEvidence(vault.client, asked(world).request)).toMatchObject({ state: 'refused' });
  });

  test('attack: a vault that believes it, and has only no such file, is found', async () => {
    const vault = await bench.start(await bench.state(), world.root);
    expect(await tryEvidence(vault.client, asked(world).request)).toMatchObject({
      state: 'accepted',
      how: expect.stringMatching(/it counts there: NOT_AUTHORISED/) as string,
    });
  });

  test('attack: one that gives the key is found, and a dead one tells nothing', async () => {
    const vault = await bench.start(await bench.state(), world.root);
    const { release, request } = asked(world);
    await ingest(vault, release);
    expect(await tryEvidence(vault.client, request)).toMatchObject({
      state: 'accepted',
      how: 'the vault gives its key',
    });
    await vault.stop();
    expect(await tryEvidence(vault.client, request)).toMatchObject({ state: 'unknown' });
  });
});
