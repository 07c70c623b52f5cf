import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { Isolation } from '../../domain/isolation.js';
import { andTraffic } from '../../domain/traffic.js';
import { bubblewrapCommand, DEFAULT_OUTPUT_MB, unshareCommand, type SandboxUser } from './command.js';
import { sandboxLayout, type LayoutStep } from './layout.js';
import { giveTo, measure } from './outputs.js';
import type { SandboxKind, SandboxRequest, SandboxResult } from './port.js';
import { startProcess, type EndedProcess, type RunningProcess } from './process.js';
import { Watch } from './watch.js';

const KINDS: readonly SandboxKind[] = ['bubblewrap', 'unshare'];
const MEGABYTE = 1024 * 1024;
const MEASURE_EVERY_MS = 500;
/** Above the ids that systems give to people, services and containers (systemd, "Users, Groups, UIDs and GIDs"). */
const FRESH_UIDS = { from: 0x70000000, to: 0x7f000000 };
const NOBODY = 65534;

const HOW_TO_GET_ONE =
  'install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap), or util-linux with unshare, setpriv and prlimit; ' +
  'without root the kernel has to allow user namespaces (sysctl user.max_user_namespaces above 0, ' +
  'kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), and a container needs the right to create them';

/** Kinds that worked on this host: where one works no more, its next run says so. */
const working = new Set<SandboxKind>();

/** The kind that works on this host, found by running something in it, once; `null` when none does. */
export async function detectSandbox(kinds: readonly SandboxKind[] = KINDS): Promise<SandboxKind | null> {
  const known = kinds.find((kind) => working.has(kind));
  if (known !== undefined) return known;
  for (const kind of kinds) {
    if ((await trial(kind)) !== null) continue;
    working.add(kind);
    return kind;
  }
  return null;
}

/**
 * How what is not trusted is kept from this host: in a sandbox, or in none, where whoever runs the host has said that it may
 * be so. SANDBOX_UNAVAILABLE where none works and nobody has.
 */
export async function hostIsolation({ mayBeNone = false, kinds = KINDS }: HostIsolation = {}): Promise<Isolation> {
  const kind = await detectSandbox(kinds);
  if (kind !== null) return kind;
  if (mayBeNone) return 'none';
  throw unavailable('none works on this host', await reasons(kinds));
}

/** What to tell whoever brings up a host on which nothing untrusted can be run; `null` where it can. */
export async function sandboxNotice(kinds: readonly SandboxKind[] = KINDS): Promise<string | null> {
  if ((await detectSandbox(kinds)) !== null) return null;
  return `no sandbox works on this host: training, scanning and validation will be refused (SANDBOX_UNAVAILABLE). ${HOW_TO_GET_ONE}`;
}

export interface HostIsolation {
  readonly mayBeNone?: boolean;
  /** Those that are tried, in order. */
  readonly kinds?: readonly SandboxKind[];
}

/**
 * Runs a command without network (but for what the request lists, through a recording proxy), without sight of the host's
 * processes and files, and within limits: it reads what is mounted, writes to writable mounts and a private /tmp, and is gone,
 * with all it started, when this answers.
 *
 * As root the command runs under a user id nobody else has; the writable mounts belong to it for the time of the run and
 * go back to the owner of the mount after it. Otherwise it runs as the calling user in a user namespace, without capabilities.
 *
 * SANDBOX_UNAVAILABLE: this host allows no sandbox, or the chosen kind cannot be built. INTERRUPTED: `signal` was aborted.
 * CONFIG_INVALID, INPUT_MISSING: a mount, variable or limit that cannot be. Running out of time or room is a result.
 */
export async function runSandboxed(request: SandboxRequest): Promise<SandboxResult> {
  checkLimits(request);
  request.signal?.throwIfAborted();
  const kind = request.sandbox ?? (await detectSandbox());
  if (kind === null) throw unavailable('none works on this host', await reasons());
  return runIn(kind, request);
}

async function runIn(kind: SandboxKind, request: SandboxRequest): Promise<SandboxResult> {
  const user = sandboxUser();
  const steps = sandboxLayout(request, user !== null);
  const writable = steps.flatMap((step) => (step.do === 'writable' ? [step.source] : []));
  const owners = await Promise.all(writable.map(async (path) => ({ path, ...pickOwner(await stat(path)) })));
  const root = await mkdtemp(join(tmpdir(), 'custody-sandbox-'));
  try {
    if (user !== null) await giveTo(writable, user.uid, user.uid);
    return await execute(kind, request, steps, user, root, writable);
  } finally {
    if (user !== null) for (const { path, uid, gid } of owners) await giveTo([path], uid, gid);
    await rmdir(root);
  }
}

async function execute(
  kind: SandboxKind,
  request: SandboxRequest,
  steps: readonly LayoutStep[],
  user: SandboxUser,
  root: string,
  writable: readonly string[],
): Promise<SandboxResult> {
  const watch = await Watch.over(request, steps);
  const traced = (inner: readonly string[]): readonly string[] => watch.traced(inner);
  const command =
    kind === 'bubblewrap'
      ? traced(bubblewrapCommand(request, steps, user))
      : unshareCommand(request, steps, user, root, traced);
  try {
    return await executeWatched(watch, kind, request, command, writable);
  } finally {
    watch.close();
  }
}

async function executeWatched(
  watch: Watch,
  kind: SandboxKind,
  request: SandboxRequest,
  command: readonly string[],
  writable: readonly string[],
): Promise<SandboxResult> {
  const startedAt = performance.now();
  const heard = watch.listener(() => running.kill());
  const running: RunningProcess = startProcess(command, { onOutput: request.onOutput, ...heard });
  const guard = watchLimits(running, request, writable);
  let end: EndedProcess;
  try {
    end = await running.ended;
  } catch (cause) {
    throw unavailable(`${kind} cannot be started`, [String(cause)], cause);
  } finally {
    guard.stop();
  }
  const ended = await guard.verdict();
  if (ended === 'aborted') {
    const reached = andTraffic(request.network?.destinations, watch.connections);
    throw new CustodyError(
      'INTERRUPTED',
      `the sandboxed ${request.command[0]} was ended because its caller was${reached}`,
    );
  }
  if (ended === 'exited' && !end.started) {
    throw unavailable(`${kind} failed (exit ${end.exitCode ?? end.signal})`, [end.stderr.trim()]);
  }
  const { exitCode, signal, stdout, stderr } = end;
  const how = { exitCode, signal, stdout, stderr };
  const observed = await watch.observed({ ended, ...how }, writable);
  const durationMs = performance.now() - startedAt;
  return { ...how, ended, durationMs, observed, connections: watch.connections, sandbox: kind };
}

interface Guard {
  stop(): void;
  /** Why the run ended; rejects when its output could not be measured. */
  verdict(): Promise<SandboxResult['ended'] | 'aborted'>;
}

/** Kills the run at its limits, and when the output cannot be measured. */
function watchLimits(running: RunningProcess, request: SandboxRequest, writable: readonly string[]): Guard {
  const limit = (request.limits.outputMb ?? DEFAULT_OUTPUT_MB) * MEGABYTE;
  let ended: SandboxResult['ended'] | 'aborted' = 'exited';
  let failure: Error | undefined;
  let measuring = Promise.resolve();
  const end = (reason: typeof ended): void => {
    if (ended === 'exited') ended = reason;
    running.kill();
  };
  const measureOnce = async (): Promise<void> => {
    try {
      if ((await measure(writable)) > limit) end('output-limit');
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      running.kill();
    }
  };
  const onAbort = (): void => end('aborted');
  const wall = setTimeout(() => end('wall-limit'), request.limits.wallSeconds * 1000);
  let isMeasuring = false;
  const meter = setInterval(() => {
    if (isMeasuring) return;
    isMeasuring = true;
    measuring = measureOnce().finally(() => (isMeasuring = false));
  }, MEASURE_EVERY_MS);
  request.signal?.addEventListener('abort', onAbort, { once: true });
  if (request.signal?.aborted === true) onAbort();
  return {
    stop: () => {
      clearTimeout(wall);
      clearInterval(meter);
      request.signal?.removeEventListener('abort', onAbort);
    },
    verdict: async () => {
      await measuring;
      await measureOnce();
      if (failure !== undefined) throw failure;
      return ended;
    },
  };
}

/** Why a kind does not work here, in its own words; `null` when it does. */
async function trial(kind: SandboxKind): Promise<string | null> {
  try {
    const { exitCode, stderr } = await runIn(kind, {
      command: [process.execPath, '--version'],
      mounts: [],
      cwd: '/tmp',
      env: {},
      limits: { wallSeconds: 20, memoryMb: 1024 },
    });
    return exitCode === 0 ? null : `${kind}: exit ${exitCode}: ${stderr.trim()}`;
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    return `${kind}: ${error.message}`;
  }
}

async function reasons(kinds: readonly SandboxKind[] = KINDS): Promise<string[]> {
  const found = await Promise.all(kinds.map(trial));
  return found.filter((reason) => reason !== null);
}

function unavailable(problem: string, found: readonly string[], cause?: unknown): CustodyError {
  return new CustodyError(
    'SANDBOX_UNAVAILABLE',
    `no sandbox, so nothing untrusted is run: ${problem}. ${HOW_TO_GET_ONE}. Found: ${found.join('; ').slice(0, 2000)}`,
    { details: { problem }, ...(cause === undefined ? {} : { cause }) },
  );
}

/** Root gives way to a fresh id, so that neither files nor process limits are shared with anyone. */
function sandboxUser(): SandboxUser {
  if (process.getuid?.() !== 0) return null;
  const fresh = randomInt(FRESH_UIDS.from, FRESH_UIDS.to);
  const isMapped = readFileSync('/proc/self/uid_map', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .some(([first = 0, , count = 0]) => fresh >= first && fresh < first + count);
  return { uid: isMapped ? fresh : NOBODY };
}

function pickOwner({ uid, gid }: { uid: number; gid: number }): { uid: number; gid: number } {
  return { uid, gid };
}

function checkLimits({ limits }: SandboxRequest): void {
  for (const [name, value] of Object.entries(limits) as [string, number][]) {
    if (!Number.isInteger(value) || value < 1 || value > 1_000_000) {
      throw new CustodyError('CONFIG_INVALID', `the sandbox limit ${name} is ${value}, expected a whole number from 1`);
    }
  }
}
