import { encodeVerifierKey, parseVerifierKeys } from '../../formats/signed-note.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';

/** Who signs the audit log of tests that have one. */
export const LOG_ORIGIN = 'custody.example/test';
export const logKey = importPrivateKey(generateKey('ed25519').privatePem);
export const logVkey = encodeVerifierKey(LOG_ORIGIN, logKey);
export const logVerifier = parseVerifierKeys(logVkey);
