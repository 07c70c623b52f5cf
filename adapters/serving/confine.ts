import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { Log, ModelUser } from './ports.js';

/** How a model server is started so that it dies with this process and can do nothing as its user. */
export interface Confinement {
  /** Put before the command. */
  readonly prefix: readonly string[];
  /** For `spawn`, where no tool changes the user. */
  readonly user: Partial<ModelUser>;
}

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** All that a model server finds in its environment: nothing of this process is inherited. */
export function cleanEnvironment(mark: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  // A cache written beside its source would be a file too many in the release.
  return { PATH: SYSTEM_PATH, LANG: 'C.UTF-8', PYTHONDONTWRITEBYTECODE: '1', ...mark };
}

/** CONFIG_INVALID when another user was asked for and cannot be had, or could not reach the copies. */
export async function confinementFor(user: ModelUser | null, releases: string, log: Log): Promise<Confinement> {
  if (user !== null) {
    if (user.uid === 0) throw new CustodyError('CONFIG_INVALID', 'model servers must not run as root');
    await assertReachable(releases, user);
  }
  const identity = user === null ? [] : ['--reuid', String(user.uid), '--regid', String(user.gid), '--clear-groups'];
  const drop = user === null ? [] : ['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all'];
  const prefix = ['setpriv', ...identity, ...drop, '--no-new-privs', '--pdeathsig', 'KILL', '--'];
  if (await runs([...prefix, 'true'])) return { prefix, user: {} };
  if (user !== null && process.geteuid?.() !== 0)
    throw new CustodyError(
      'CONFIG_INVALID',
      'model servers run as another user only under root, or with setpriv and the capabilities setuid, setgid, setpcap and kill',
    );
  log.warn({}, 'setpriv does not work here: model servers of a killed worker are ended when the next one starts');
  return { prefix: [], user: user ?? {} };
}

/** Every folder on the way must let the model user through. */
async function assertReachable(folder: string, { uid, gid }: ModelUser): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    const found = await stat(at);
    const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001;
    if ((found.mode & bit) === 0)
      throw new CustodyError('CONFIG_INVALID', `user ${uid} cannot enter ${at}: run chmod a+x on it`);
    if (at === dirname(at)) return;
  }
}

function runs([command = '', ...args]: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'ignore', env: cleanEnvironment({}) });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}
