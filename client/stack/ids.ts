import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';

// Above the ids that Debian gives to people and services, and below 65,534, beyond which a container may have none.
const FIRST_ID = 61_200;
/** Users and groups of one stack. */
export const IDS_OF_A_STACK = 16;
const STACKS = 256;

/** Which stack of this host has which ids: a file for each, that names its state folder. */
const REGISTRY = join(process.env['CUSTODY_CACHE'] ?? join(homedir(), '.cache', 'custody'), 'ids');

/**
 * The first of the ids that this stack has for itself, the same at every start: who breaks into a zone of one environment is nobody in
 * those of another on the same host. Ids of a stack whose folder is gone are free. CONFIG_INVALID: none are.
 */
export function claimIds(state: string, registry = REGISTRY): number {
  mkdirSync(registry, { recursive: true, mode: 0o700 });
  const before = slotOf(join(state, 'zones', 'control'));
  const slots = [...(before === null ? [] : [before]), ...Array.from({ length: STACKS }, (_, slot) => slot)];
  const own = slots.find((slot) => claims(join(registry, String(slot)), state));
  if (own !== undefined) return FIRST_ID + own * IDS_OF_A_STACK;
  throw new CustodyError('CONFIG_INVALID', `${STACKS} stacks have users on this host: remove the state folder of one`);
}

/** What its folders say, where the registry was lost. */
function slotOf(folder: string): number | null {
  if (!existsSync(folder)) return null;
  const slot = Math.floor((statSync(folder).uid - FIRST_ID) / IDS_OF_A_STACK);
  return slot >= 0 && slot < STACKS ? slot : null;
}

function claims(file: string, state: string): boolean {
  for (;;) {
    try {
      writeFileSync(file, state, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = holderOf(file);
    if (holder === state) return true;
    // Empty while another stack writes it.
    if (holder === '' || existsSync(holder)) return false;
    rmSync(file, { force: true });
  }
}

function holderOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
