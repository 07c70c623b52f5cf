import { vaultSuite } from './vault-suite.js';

vaultSuite(false);
