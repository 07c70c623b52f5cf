import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { SandboxKind } from '../adapters/sandbox/port.js';
import { detectSandbox, runSandboxed } from '../adapters/sandbox/sandbox.js';
import { canTrace } from '../adapters/sandbox/tracer.js';
import { CustodyError } from '../domain/errors.js';
import { inTurns, round, say, seconds } from './measure.js';

/**
 * What the sandbox costs a run: the same command bare, in namespaces by the plain tool, in the sandbox, and in the sandbox with
 * a tracer, in turns. Usage: sandbox [repeats]
 */
const REPEATS = Number(process.argv[2] ?? 21);
const LIMITS = { wallSeconds: 60, memoryMb: 2048 };
const MANY_OPENS = `for (let n = 0; n < 10000; n += 1) fs.closeSync(fs.openSync('/dev/null'))`;
const COMMANDS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  true: ['true'],
  node: ['node', '-e', '0'],
  tenThousandOpens: ['node', '-e', MANY_OPENS],
};
const strace = process.env['CUSTODY_STRACE'] ?? 'strace';

const detected = await detectSandbox();
if (detected === null) throw new CustodyError('SANDBOX_UNAVAILABLE', 'no sandbox works on this host');
const kind: SandboxKind = detected;
if (!(await canTrace(strace)))
  throw new CustodyError('TOOL_MISSING', 'name a strace that works here in CUSTODY_STRACE');

for (const [name, command] of Object.entries(COMMANDS)) {
  const took = await inTurns(REPEATS, {
    bare: () => seconds(() => ended(command)),
    plain: () => seconds(() => ended(plain(command))),
    sandboxed: () => seconds(() => sandboxed(command)),
    traced: () => seconds(() => sandboxed(command, strace)),
  });
  const { bare, plain: peer, sandboxed: ours, traced } = took;
  const ms = (value: number): number => round(value * 1000);
  say({
    [name]: {
      ...{ sandbox: kind, bareMs: ms(bare), plainMs: ms(peer), sandboxedMs: ms(ours), tracedMs: ms(traced) },
      ...{ plainAddsMs: ms(peer - bare), addsMs: ms(ours - bare), addsTracedMs: ms(traced - bare) },
    },
  });
}

/** The same namespaces, and nothing else. */
function plain(command: readonly string[]): string[] {
  if (kind === 'bubblewrap')
    return ['bwrap', '--unshare-all', '--dev-bind', '/', '/', '--proc', '/proc', '--', ...command];
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const spaces = ['--mount', '--net', '--pid', '--ipc', '--uts', '--cgroup', '--fork', '--mount-proc'];
  return ['unshare', ...user, ...spaces, ...command];
}

async function ended([program = '', ...args]: readonly string[]): Promise<void> {
  const [code] = (await once(spawn(program, args, { stdio: 'ignore' }), 'exit')) as [number | null];
  if (code !== 0) throw new CustodyError('INTERNAL', `${program} ended with ${code}`);
}

async function sandboxed(command: readonly [string, ...string[]], tracer?: string): Promise<void> {
  const { exitCode, stderr, observed } = await runSandboxed({
    ...{ command, mounts: [], cwd: '/tmp', env: {}, limits: LIMITS, sandbox: kind },
    ...(tracer === undefined ? {} : { tracer }),
  });
  if (exitCode !== 0 || observed.seen.length > 0) throw new CustodyError('INTERNAL', `exit ${exitCode}: ${stderr}`);
}
