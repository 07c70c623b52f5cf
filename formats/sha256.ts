import { hash } from 'node:crypto';
import type { Digest } from '../domain/digest.js';

/** SHA-256 of bytes, or of a text's UTF-8 form. */
export function sha256(bytes: Uint8Array | string): Digest {
  return hash('sha256', bytes, 'hex');
}
