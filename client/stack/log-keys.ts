import { constants, copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { openKeys } from '../../adapters/audit/keys.js';
import { exchange } from '../../adapters/exchange.js';
import { CustodyError } from '../../domain/errors.js';
import { generateKey } from '../../formats/keys.js';
import { encodeVerifierKey, parseVerifierKeys } from '../../formats/signed-note.js';
import { replaceFile } from '../files.js';
import { AUDIT_KEY, PREVIOUS_AUDIT_KEY, readKey } from '../init.js';
import type { Layout } from './layout.js';

export function auditOrigin(environment: string): string {
  return `custody.local/${environment}`;
}

/** Who signs the log's checkpoints, and who did before as far as that is known here: what `parseVerifierKeys` reads. */
export function auditKeyOf(layout: Layout, environment: string): string {
  const own = encodeVerifierKey(auditOrigin(environment), readKey(layout.key(AUDIT_KEY)));
  const known = existsSync(layout.logKeys) ? readFileSync(layout.logKeys, 'utf8').trimEnd() : own;
  return known.split('\n', 1)[0] === own ? known : own;
}

/** Makes a new key for the log. The one before stays beside it until it has handed the log over, when control starts. */
export function replaceLogKey(layout: Layout): { readonly file: string; readonly previous: string } {
  const [file, previous] = [layout.key(AUDIT_KEY), layout.key(PREVIOUS_AUDIT_KEY)];
  const isAsked = existsSync(previous) && !readFileSync(previous).equals(readFileSync(file));
  if (isAsked) throw new CustodyError('USAGE', `${previous} has not handed the log over yet: start control first`);
  rmSync(previous, { force: true });
  copyFileSync(file, previous, constants.COPYFILE_EXCL);
  replaceFile(file, generateKey('ed25519').privatePem, { mode: 0o600 });
  return { file, previous };
}

/**
 * Takes from the desk what keys the log has, if one that is trusted here has signed that: then they are known here, and a private
 * key that has handed the log over is removed. `null`: the log has had one key only. LOG_INVALID: nobody who is trusted has signed.
 */
export async function learnLogKeys(layout: Layout, desk: string, trusted: string): Promise<string | null> {
  const { note } = (await exchange({ url: desk }, 'GET', '/keys', undefined, 'STORE_UNAVAILABLE')) as {
    readonly note: string | null;
  };
  if (note === null) return null;
  const keys = openKeys(Buffer.from(note), trusted);
  replaceFile(layout.logKeys, `${keys}\n`);
  const previous = layout.key(PREVIOUS_AUDIT_KEY);
  // The one that still signs has not handed the log over: it is the only one that can.
  if (existsSync(previous) && parseVerifierKeys(keys).keys[0]?.key.pem !== readKey(previous).pem) rmSync(previous);
  return keys;
}
