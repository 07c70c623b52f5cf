import { execa } from 'execa';
import { attemptOf, type OwnPlaces } from '../../domain/attempts.js';
import type { Observable } from '../../domain/observed.js';
import { readTracedCall, readTracedSignal } from '../../formats/strace.js';
import { BEGIN } from './command.js';
import type { Tally } from './tally.js';

/** Those by which a run would reach for what is not its own; all others run as fast as without anybody looking. */
const CALLS = [
  ...[
    '%file',
    'fchdir',
    'socket',
    'connect',
    'clone',
    'clone3',
    'fork',
    'vfork',
    'ptrace',
    'seccomp',
    'io_uring_setup',
  ],
  ...['kill', 'tkill', 'tgkill', 'rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_open', 'pidfd_getfd', 'kcmp'],
  ...['process_vm_readv', 'process_vm_writev', 'unshare', 'setns', 'fsopen', 'fsmount', 'bpf', 'init_module'],
  ...['finit_module', 'delete_module', 'kexec_load', 'kexec_file_load', 'reboot', 'settimeofday', 'clock_settime'],
  ...['sethostname', 'setdomainname', 'iopl', 'ioperm', 'open_by_handle_at', 'syslog'],
];
const OPTIONS = [
  ...['-f', '--quiet=attach,exit', '-y', '-s', '128', '--seccomp-bpf', '--status=failed,successful'],
  ...['-e', `trace=${CALLS.map((name) => (name.startsWith('%') ? name : `?${name}`)).join(',')}`],
  ...['-e', 'signal=SIGXFSZ,SIGXCPU'],
  // What is asked for in such a ring is no system call, so nobody would see it.
  ...['-e', 'inject=io_uring_setup:error=ENOSYS'],
];
/** The log goes to descriptor 4, which is the tracer's stderr; what is traced gets its own back, and none of the log. */
const LOG_TO_4 = 'exec 6>&2 2>&4 4>&6 6>&-; exec "$@"';
const GIVE_BACK_STDERR = 'exec 2>&4 4>&-; exec "$@"';
const LONGEST_LINE = 64 * 1024;
const FOLDERS = 64;

const tried = new Map<string, Promise<boolean>>();

/** Whether this strace can trace here: not so where it is too old, or the host forbids it. */
export function canTrace(strace: string): Promise<boolean> {
  const known = tried.get(strace);
  if (known !== undefined) return known;
  const trial = execa(strace, [...OPTIONS, 'true'], { reject: false, stdio: 'ignore' }).then(
    ({ exitCode }) => exitCode === 0,
  );
  tried.set(strace, trial);
  return trial;
}

export function tracedCommand(strace: string, command: readonly string[]): string[] {
  // Ends with whoever started it, as what it traces ends with it.
  const self = ['setpriv', '--pdeathsig', 'KILL', strace, ...OPTIONS];
  return ['sh', '-c', LOG_TO_4, 'sh', ...self, 'sh', '-c', GIVE_BACK_STDERR, 'sh', ...command];
}

/** What is seen of a run by its system calls. It sees the log as it is written, and keeps counts and a few samples. */
export class Trace {
  readonly #own: { readonly folders: Set<string>; lastPid: number } & Omit<OwnPlaces, 'folders' | 'lastPid'>;
  readonly #tally: Tally;
  #rest = '';
  #begun = false;

  constructor(own: Pick<OwnPlaces, 'mounts' | 'programs'> & { readonly cwd: string }, tally: Tally) {
    const { mounts, programs, cwd } = own;
    this.#own = { mounts, programs, folders: new Set([cwd]), lastPid: 2 };
    this.#tally = tally;
  }

  static readonly watched: readonly Observable[] = ['files', 'processes', 'privileges'];

  take(bytes: Buffer): void {
    const lines = `${this.#rest}${bytes.toString('latin1')}`.split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LONGEST_LINE) this.#rest = '';
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (!this.#begun) {
      // What comes before is the building of the sandbox: nothing of the run can be.
      this.#begun = line.includes(`"${BEGIN}"`);
      return;
    }
    const signal = readTracedSignal(line);
    if (signal !== null) this.#tally.add('limit', signal === 'SIGXFSZ' ? 'the size of a file' : 'processor time');
    const call = readTracedCall(line);
    if (call === null) return;
    const attempt = attemptOf(call, this.#own);
    if (attempt !== null) this.#tally.add(attempt.kind, attempt.detail);
    if (/^(?:clone3?|v?fork)$/.test(call.name)) {
      if (call.errno === 'EAGAIN') this.#tally.add('limit', 'processes');
      this.#own.lastPid = Math.max(this.#own.lastPid, call.result ?? 0);
    }
    if (call.errno === null && (call.name === 'chdir' || call.name === 'fchdir')) this.#enter(call.paths[0]);
  }

  /** Names that start from no known folder are judged from every one that was entered. */
  #enter(to: { readonly path: string; readonly base: string | null } | undefined): void {
    if (to === undefined || this.#own.folders.size >= FOLDERS) return;
    const { path, base } = to;
    if (path.startsWith('/')) this.#own.folders.add(path);
    else
      for (const folder of base === null ? [...this.#own.folders] : [base]) this.#own.folders.add(`${folder}/${path}`);
  }
}
