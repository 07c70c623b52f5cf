import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';

export interface Standing {
  readonly uid: number | null;
  readonly gid: number | null;
  readonly mode: number;
}

/**
 * Makes the folder if it is not there, and gives it, but not what is in it, to whoever is named. Its last name is never followed: it
 * may be a member's, who may have put a link there. CONFIG_INVALID names what is no folder.
 */
export function giveFolder(folder: string, standing: Standing): void {
  inFolder(folder, (fd) => stand(fd, standing));
}

/** The same with all that is in it, if it is not yet theirs: it may be of a stack that had other ids. */
export function giveTree(folder: string, uid: number, mode: number): void {
  inFolder(folder, (fd) => {
    const { uid: before } = fstatSync(fd);
    if (before !== uid) handOver(fd, folder, { before, uid });
    stand(fd, { uid, gid: uid, mode });
  });
}

function inFolder(folder: string, then: (fd: number) => void): void {
  mkdirSync(dirname(folder), { recursive: true });
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  withFolder(folder, folder, then);
}

function stand(fd: number, { uid, gid, mode }: Standing): void {
  if (uid !== null && gid !== null) fchownSync(fd, uid, gid);
  fchmodSync(fd, mode);
}

/**
 * Its own last: whatever ends this midway, the next start begins again. Everything is reached through the open folder it is in, so that
 * whoever still runs as the owner of before turns nobody aside by moving one.
 */
function handOver(fd: number, called: string, owners: { readonly before: number; readonly uid: number }): void {
  const here = `/proc/self/fd/${fd}`;
  for (const { name } of readdirSync(here, { withFileTypes: true })) {
    const [path, shown] = [join(here, name), join(called, name)];
    const found = lstatSync(path);
    if (found.isDirectory())
      withFolder(path, shown, (inner) => {
        handOver(inner, shown, owners);
        fchownSync(inner, owners.uid, owners.uid);
      });
    else if (found.nlink > 1 && found.uid !== owners.before && found.uid !== owners.uid)
      throw new CustodyError('CONFIG_INVALID', `${shown} is another name of a file of somebody else's: remove it`);
    else lchownSync(path, owners.uid, owners.uid);
  }
}

const NO_FOLDER: readonly string[] = ['ENOTDIR', 'ELOOP'];
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

function withFolder(path: string, shown: string, then: (fd: number) => void): void {
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (cause) {
    if (!NO_FOLDER.includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    throw new CustodyError('CONFIG_INVALID', `${shown} is not a folder, but a link or a file: remove it`, { cause });
  }
  try {
    then(fd);
  } finally {
    closeSync(fd);
  }
}
