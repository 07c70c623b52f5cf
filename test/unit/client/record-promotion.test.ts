import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../domain/policy.js';
import type { RecordLine } from '../../../domain/record.js';
import { createWorld, type ReleaseOptions, type World } from '../../support/world.js';
import { recordIn, storedOf } from './stored.js';

const demanding = (policy: Policy): Policy => ({ ...policy, promotion: { from: 'before', maxAgeSeconds: 3600 } });

/** What `custody show` says of where a release comes from, from what the zones have left of it. */
async function promotionOf(world: World, options: ReleaseOptions = {}): Promise<RecordLine | undefined> {
  const release = world.release(options);
  const { lines } = await recordIn(world, release.name, storedOf(world, release));
  return lines.find(({ part }) => part === 'promotion');
}

describe('where a release comes from, in its record', () => {
  const world = createWorld({ policy: demanding });

  it('is which environment verified it, when, and whose signature says so', async () => {
    expect(await promotionOf(world, { promotion: (made) => world.summary(made) })).toMatchObject({
      ...{ state: 'holds', by: ['test-signer'], statement: expect.any(String) as string },
      says: `urn:custody:verifier:before verified it at ${world.at(-60)}`,
    });
  });

  it('is left out where releases come from nowhere else', async () => {
    expect(await promotionOf(createWorld())).toBeUndefined();
  });

  it.each([
    ['there is no summary', undefined, 'POLICY_REFUSED'],
    ['its summary is too old', { timeVerified: world.at(-4000) }, 'EXPIRED'],
    ['its summary is about another version', { resourceUri: 'lifecycle/digits/2.0.0' }, 'REPLAYED'],
  ] as const)('attack: fails where %s', async (_, change, code) => {
    const options: ReleaseOptions = change === undefined ? {} : { promotion: (made) => world.summary(made, change) };
    expect(await promotionOf(world, options)).toMatchObject({ state: 'fails', failure: { code } });
  });
});
