import { afterAll, beforeAll, describe } from 'vitest';
import { startStore, type TestStore } from '../support/store.js';
import { attackMemory, attackS3 } from './attackable.js';
import { baseSuite } from './base-suite.js';
import type { Attackable } from './object-store-suite.js';

const memory = attackMemory();
baseSuite('a release on a base, in a store in memory', () => memory);

describe('versitygw', () => {
  let store: TestStore;
  let attackable: Attackable;
  beforeAll(async () => {
    store = await startStore();
    attackable = attackS3(store);
  });
  afterAll(() => store.stop());

  baseSuite('a release on a base, in a real S3 store', () => attackable);
});
