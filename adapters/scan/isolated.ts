import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';
import type { ScannedFile } from '../../domain/artifacts.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError, isErrorCode, type ErrorCode } from '../../domain/errors.js';
import type { Isolation } from '../../domain/isolation.js';
import type { FileContent } from '../../domain/release-facts.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { parseJson, printable } from '../../formats/json.js';
import { parseScanLine } from '../../formats/scan/report.js';
import { sha256 } from '../../formats/sha256.js';
import { startProcess } from '../sandbox/process.js';
import type { SandboxLimits } from '../sandbox/port.js';
import { hostIsolation, runSandboxed } from '../sandbox/sandbox.js';
import { releaseFacts } from '../source/facts.js';
import type { ReadOptions } from '../source/file.js';
import type { SourceRelease } from '../source/folder.js';
import { assertScanned, type Inspection, type Inspector } from './inspect.js';

/** What is compiled, with the packages beside it: all that the process needs. */
const COMPILED = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PROGRAM = 'bundled/programs/scan.js';
/** The whole process stays below 300 MiB: of these the heap, and the private memory that the kernel lets it have. */
const HEAP_MB = 160;
const MEMORY_MB = 300;
/** Slower than any disk that is still of use, so that a scan has an end. */
const LEAST_BYTES_PER_SECOND = 5_000_000;
const LEAST_SECONDS = 120;
const MAX_WAITING_BYTES = 256 * 1024 * 1024;
const TAIL = 500;

export interface IsolatedScanOptions {
  /** How the process is kept from the host; without it in a sandbox, or there is no scan: SANDBOX_UNAVAILABLE. */
  readonly isolate?: () => Promise<Isolation>;
  /** Where the compiled program is, its packages beside it, where it is not this one's. */
  readonly compiled?: string;
}

/**
 * Scans a release in a process of its own, in the sandbox unless the host may be without one: with the folder read-only, no network, no
 * environment, and less memory than hostile bytes could ask for. A scan that does not come to its end is not a clean one:
 * POLICY_REFUSED.
 */
export function createIsolatedInspector({
  isolate = hostIsolation,
  compiled = COMPILED,
}: IsolatedScanOptions = {}): Inspector {
  return async (source, options = {}) => {
    const kind = await isolate();
    const reader = await readerIn(compiled);
    const lines = new Lines(options);
    const ended = await (kind === 'none' ? runPlainly : runIsolated)(source, compiled, lines, kind, options);
    return conclude(source, lines, ended, kind, reader);
  };
}

interface Ended {
  readonly how: string;
  readonly stderr: string;
}

async function runIsolated(
  source: SourceRelease,
  compiled: string,
  lines: Lines,
  kind: Isolation,
  { signal }: ReadOptions,
): Promise<Ended> {
  const limits: SandboxLimits = { wallSeconds: secondsFor(source), memoryMb: MEMORY_MB, outputMb: 1, processes: 32 };
  const { ended, exitCode, stderr } = await runSandboxed({
    command: command('/custody/dist', '/release'),
    mounts: [
      { source: compiled, target: '/custody/dist', writable: false },
      { source: join(dirname(compiled), 'node_modules'), target: '/custody/node_modules', writable: false },
      { source: source.folder, target: '/release', writable: false },
    ],
    cwd: '/release',
    env: {},
    limits,
    onOutput: ({ stream, bytes }) => void (stream === 'stdout' && lines.add(bytes)),
    ...(kind === 'none' ? {} : { sandbox: kind }),
    ...(signal === undefined ? {} : { signal }),
  });
  return { how: ended === 'exited' ? `exit ${exitCode ?? 'unknown'}` : ended, stderr };
}

/** An empty environment, a bounded heap and a wall clock: all that is left without a sandbox. */
async function runPlainly(
  source: SourceRelease,
  compiled: string,
  lines: Lines,
  _kind: Isolation,
  { signal }: ReadOptions,
): Promise<Ended> {
  const [program, ...args] = command(compiled, source.folder);
  const running = startProcess([process.execPath, ...args], {
    onOutput: ({ stream, bytes }) => void (stream === 'stdout' && lines.add(bytes)),
  });
  const wall = setTimeout(() => running.kill(), secondsFor(source) * 1000);
  const kill = (): void => running.kill();
  signal?.addEventListener('abort', kill, { once: true });
  try {
    const { exitCode, signal: by, stderr } = await running.ended;
    signal?.throwIfAborted();
    return { how: `${program}: exit ${exitCode ?? by ?? 'unknown'}`, stderr };
  } finally {
    clearTimeout(wall);
    signal?.removeEventListener('abort', kill);
  }
}

function command(compiled: string, folder: string): [string, ...string[]] {
  return ['node', `--max-old-space-size=${HEAP_MB}`, join(compiled, PROGRAM), folder];
}

function secondsFor({ manifest }: SourceRelease): number {
  const bytes = manifest.files.reduce((sum, { size }) => sum + size, 0);
  return LEAST_SECONDS + Math.ceil(bytes / LEAST_BYTES_PER_SECOND) + Math.ceil(manifest.files.length / 100);
}

/** Collects what the process says, line by line. What is no line of a scan is told at the end. */
class Lines {
  readonly files = new Map<string, { readonly scanned: ScannedFile; readonly content: FileContent }>();
  isDone = false;
  problem: string | null = null;
  private waiting: Buffer[] = [];
  private size = 0;
  private readonly options: ReadOptions;

  constructor(options: ReadOptions) {
    this.options = options;
  }

  add(bytes: Buffer): void {
    let from = 0;
    for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, from)) {
      this.line(Buffer.concat([...this.waiting.splice(0), bytes.subarray(from, at)]));
      this.size = 0;
      from = at + 1;
    }
    if (this.size > MAX_WAITING_BYTES) this.problem ??= 'it says more than is listened to';
    else if (from < bytes.length) {
      this.waiting.push(Buffer.from(bytes.subarray(from)));
      this.size += bytes.length - from;
    }
  }

  private line(bytes: Buffer): void {
    if (this.problem !== null) return;
    try {
      const line = parseScanLine(bytes);
      if (line.kind === 'read') this.options.onBytes?.(line.bytes);
      else if (line.kind === 'done') this.isDone = line.files === this.files.size;
      else this.files.set(line.scanned.path, line);
    } catch (error) {
      if (!(error instanceof CustodyError)) throw error;
      this.problem = error.message;
    }
  }
}

function conclude(
  source: SourceRelease,
  lines: Lines,
  { how, stderr }: Ended,
  isolation: Isolation,
  reader: Digest,
): Inspection {
  if (lines.problem !== null) throw notScanned(lines.problem);
  if (!lines.isDone) throw refusalIn(stderr) ?? notScanned(`${how}, saying ${printable(stderr.trim().slice(-TAIL))}`);
  const files = [...lines.files.values()].map(({ scanned }) => scanned);
  assertScanned(source, files);
  const contents = new Map([...lines.files].map(([path, { content }]) => [path, content]));
  return { files, facts: releaseFacts(source.manifest, contents), isolation, reader };
}

/**
 * What reads the files: every program beside the one that scans, since they share their parts, with the libraries in them,
 * and the Node that runs it. What is not part of it can only lead to looking again.
 */
export async function readerIn(compiled: string): Promise<Digest> {
  const folder = join(compiled, dirname(PROGRAM));
  const names = (await readdir(folder)).filter((name) => name.endsWith('.js')).sort();
  const parts: (readonly [string, Digest])[] = [];
  for (const name of names) parts.push([name, sha256(await readFile(join(folder, name)))]);
  return sha256(canonicalBytes({ node: process.version, parts }));
}

/** An error that the process ended with by itself, such as for a file that is not there. */
export function refusalIn(stderr: string): CustodyError | null {
  try {
    const told = parseJson(stderr.trim().split('\n').at(-1) ?? '', 'the error') as {
      code?: unknown;
      message?: unknown;
    } | null;
    if (!isErrorCode(told?.code) || typeof told?.message !== 'string') return null;
    return new CustodyError(told.code satisfies ErrorCode, printable(told.message));
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return null;
    throw error;
  }
}

function notScanned(problem: string): CustodyError {
  return new CustodyError(
    'POLICY_REFUSED',
    `the scan of the release did not come to its end, and what cannot be scanned is not clean: ${problem}`,
  );
}
