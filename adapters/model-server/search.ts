import { runInNewContext } from 'node:vm';
import type { Search } from '../../domain/assertion.js';

const LIMIT_MS = 1000;

/** A search that ends: what the candidate says is hostile, and may be what a pattern takes for ever to look through. */
export const boundedSearch: Search = (pattern, text) => {
  try {
    return runInNewContext('new RegExp(pattern, "iu").test(text)', { pattern, text }, { timeout: LIMIT_MS }) as boolean;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw error;
  }
};
