import { createOrganisation, type WorldOptions } from './world/organisation.js';
import { createProvisions } from './world/provisions.js';
import { createReleases } from './world/releases.js';
import { createRoutes } from './world/routes.js';
import { createWords } from './world/words.js';

export {
  nonce,
  PIPELINE,
  withDrills,
  withProvisions,
  type KeyName,
  type Signed,
  type Signers,
  type WorldOptions,
} from './world/organisation.js';
export { ASSESSMENT } from './world/provisions.js';
export { PASSED } from './world/releases.js';
export type { Release, ReleaseOptions, Rests, RetirementOptions, Untried } from './world/releases.js';
export type { Route } from './world/routes.js';

export type World = ReturnType<typeof createWorld>;

/**
 * A small organisation: keys, a signed policy, and builders of everything people and processes sign. All is valid unless
 * it is asked to be otherwise. Times are near the real now, since processes check freshness by their own clock.
 */
export function createWorld(options: WorldOptions = {}) {
  const organisation = createOrganisation(options);
  const words = createWords(organisation);
  const { deployAction, ...releases } = createReleases(organisation, words);
  const routes = createRoutes(organisation, words, deployAction);
  return { ...organisation, ...words, ...releases, ...routes, ...createProvisions(organisation, words) };
}
