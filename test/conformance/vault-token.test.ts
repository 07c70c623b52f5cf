import { describe } from 'vitest';
import { softhsm } from '../support/softhsm.js';
import { vaultSuite } from './vault-suite.js';

describe.runIf(softhsm !== undefined)('with keys on a token', () => vaultSuite(true));
