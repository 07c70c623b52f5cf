import { ENDS } from './ends.js';
import { LOG } from './log.js';
import { ORIGIN } from './origin.js';
import type { Requirement } from './row.js';
import { TRAFFIC } from './traffic.js';
import { V1 } from './v1.js';

/** Every requirement of both profiles, in their order. */
export const REQUIREMENTS: readonly Requirement[] = [...ORIGIN, ...TRAFFIC, ...LOG, ...ENDS, ...V1];
