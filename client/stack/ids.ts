import { randomUUID } from 'node:crypto';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';

// Above the ids that Debian gives to people and services, and below 65,534, beyond which a container may have none.
const FIRST_ID = 61_200;
/** Users and groups of one stack. */
export const IDS_OF_A_STACK = 16;
const STACKS = 256;

/** Which stack of this host has which ids: a file for each, that names its state folder. One for the host, whoever's home root has. */
const REGISTRY = process.env['CUSTODY_IDS'] ?? '/var/lib/custody/ids';
const OTHERS_WRITE = 0o022;

/**
 * The first of the ids that this stack has for itself, the same at every start: who breaks into a zone of one environment is nobody in
 * those of another on the same host. Ids of a stack whose folder is gone are free, once no process has one. CONFIG_INVALID: none are,
 * or the registry is not root's alone.
 */
export function claimIds(state: string, registry = REGISTRY, inUse = idsInUse): number {
  ownRegistry(registry);
  const own = realpathSync(state);
  const before = slotOf(join(own, 'zones', 'control'));
  const slots = [...(before === null ? [] : [before]), ...Array.from({ length: STACKS }, (_, slot) => slot)];
  const held = slots.find((slot) => holderOf(join(registry, String(slot))) === own);
  if (held !== undefined) return firstOf(held);
  const running = inUse();
  const isFree = (slot: number): boolean => running.every((id) => slotOfId(id) !== slot);
  const claimed = slots.find((slot) => isFree(slot) && claims(join(registry, String(slot)), own));
  if (claimed !== undefined) return firstOf(claimed);
  throw new CustodyError('CONFIG_INVALID', `${STACKS} stacks have users on this host: remove the state folder of one`);
}

function ownRegistry(registry: string): void {
  try {
    mkdirSync(registry, { recursive: true, mode: 0o755 });
  } catch (cause) {
    const how = 'name a folder for it in CUSTODY_IDS, the same for all stacks of this host';
    throw new CustodyError(
      'CONFIG_INVALID',
      `${registry}, where the users of stacks are noted, cannot be made: ${how}`,
      { cause },
    );
  }
  const found = lstatSync(registry);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & OTHERS_WRITE) !== 0)
    throw new CustodyError(
      'CONFIG_INVALID',
      `${registry} must be a folder that nobody but its owner, who starts stacks, writes to`,
    );
}

const firstOf = (slot: number): number => FIRST_ID + slot * IDS_OF_A_STACK;
const slotOfId = (id: number): number => Math.floor((id - FIRST_ID) / IDS_OF_A_STACK);

/** What its folders say, where the registry was lost. */
function slotOf(folder: string): number | null {
  if (!existsSync(folder)) return null;
  const slot = slotOfId(lstatSync(folder).uid);
  return slot >= 0 && slot < STACKS ? slot : null;
}

/**
 * One of all who try at once gets it. A claim is written whole, and linked to its name; who takes over one of a stack that is gone holds
 * the right to under a second name while it looks again. Whoever dies with that leaves ids that only the same stack gets: rather
 * none than somebody else's.
 */
function claims(file: string, state: string): boolean {
  if (linked(file, state)) return true;
  const next = `${file}.next`;
  if (!isGone(holderOf(file)) || !(linked(next, state) || holderOf(next) === state)) return false;
  if (isGone(holderOf(file))) {
    renameSync(next, file);
    return true;
  }
  rmSync(next);
  return false;
}

function linked(file: string, state: string): boolean {
  const written = `${file}.${randomUUID()}`;
  writeFileSync(written, state, { flag: 'wx', mode: 0o600 });
  try {
    linkSync(written, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(written);
  }
}

/** One that names nobody is somebody's all the same. */
function isGone(holder: string | null): boolean {
  return holder !== null && holder !== '' && !existsSync(holder);
}

function holderOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Every user and group that a process of this host has: one that outlived its stack is to be nobody in the next. */
function idsInUse(): readonly number[] {
  const ids = new Set<number>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    for (const line of statusOf(pid).split('\n'))
      if (/^(Uid|Gid|Groups):/.test(line)) for (const id of line.split(/\s+/).slice(1)) ids.add(Number(id));
  return [...ids];
}

function statusOf(pid: string): string {
  try {
    return readFileSync(join('/proc', pid, 'status'), 'utf8');
  } catch (error) {
    // It has just ended.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
