import { execFile } from 'node:child_process';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TokenConfig } from '../../vault/config.js';

/** SoftHSM's PKCS#11 module; `undefined` where it is not installed. */
export const softhsm = process.env['CUSTODY_SOFTHSM'];
if (softhsm === undefined && process.env['CI'] !== undefined)
  throw new Error('CUSTODY_SOFTHSM names no PKCS#11 module: run the tests with npm test');

const PIN = '271828';
const LABEL = 'custody';

/** A token in software, in a folder of its own. */
export interface TestToken {
  readonly keys: TokenConfig;
  /** What SOFTHSM2_CONF must name in a process that is to see the token. */
  readonly conf: string;
  /** Where SoftHSM keeps what is on it. */
  readonly stored: string;
}

function tokenIn(folder: string): TestToken {
  const keys = { module: softhsm ?? '', token: LABEL, pinFile: join(folder, 'pin') };
  return { keys, conf: join(folder, 'softhsm2.conf'), stored: join(folder, 'tokens') };
}

/** Makes one, or copies another one with all that is on it. */
export async function makeToken(folder: string, from?: TestToken): Promise<TestToken> {
  const token = tokenIn(folder);
  if (from === undefined) await mkdir(token.stored, { recursive: true });
  else await cp(from.stored, token.stored, { recursive: true });
  await writeFile(
    token.conf,
    `directories.tokendir = ${token.stored}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  await writeFile(token.keys.pinFile, `${PIN}\n`, { mode: 0o600 });
  if (from === undefined) await initialize(token, LABEL);
  return token;
}

export async function initialize({ keys, conf }: TestToken, label: string): Promise<void> {
  const args = ['--module', keys.module, '--init-token', '--free', '--label', label, '--so-pin', PIN, '--pin', PIN];
  await promisify(execFile)(join(keys.module, '../../../bin/softhsm2-util'), args, {
    env: { ...process.env, SOFTHSM2_CONF: conf },
  });
}
