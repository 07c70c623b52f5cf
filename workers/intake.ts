import { join } from 'node:path';
import { createIngestActivities } from '../activities/ingest.js';
import { reviewsSeen } from '../activities/seen-reviews.js';
import { createDataIntake } from '../activities/take-data.js';
import { createValidateActivities, sweepCopies } from '../activities/validate.js';
import { createScanners } from '../adapters/scan/external.js';
import { hostIsolation } from '../adapters/sandbox/sandbox.js';
import { createIsolatedInspector } from '../adapters/scan/isolated.js';
import { createVaultClient } from '../adapters/vault/client.js';
import { githubOf, loadKey, type ConfigOf } from './config.js';
import type { Zone, ZoneBase } from './zone.js';

/**
 * Reads sources, tries candidates out in isolation, encrypts and uploads. It makes keys; what it can open is
 * what a release takes over from its base, and that the vault decides.
 */
export async function wireIntake(config: ConfigOf<'intake'>, { records }: ZoneBase): Promise<Zone> {
  const vault = createVaultClient({ create: config.vault });
  const work = join(config.state, 'work');
  await sweepCopies(work);
  const validatorKey = loadKey(config.key);
  const isolate = () => hostIsolation({ mayBeNone: config.isolation === 'optional' });
  return {
    activities: {
      ...createIngestActivities({
        ...{ records, vault, validatorKey, inspect: createIsolatedInspector({ isolate }) },
        ...{ scanners: createScanners({ known: config.scanners, work }), work },
        ...{
          repositories: config.repositories,
          further: reviewsSeen({ records, key: validatorKey, github: githubOf(config) }),
        },
      }),
      ...createDataIntake({ records }),
      ...createValidateActivities({
        ...{ records, vault, validatorKey, work, isolate },
        suites: join(config.state, 'suites'),
      }),
    },
    stop: async () => undefined,
  };
}
