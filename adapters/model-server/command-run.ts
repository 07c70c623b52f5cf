import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { Isolation } from '../../domain/isolation.js';
import { COMMAND_CASE, type CaseResult, type SuiteCommand } from '../../domain/suite.js';
import { readCommandOutput } from '../../formats/command-output.js';
import { printable } from '../../formats/json.js';
import { runSandboxed } from '../sandbox/sandbox.js';
import type { IsolatedServer } from './isolated.js';

const FILES = '/suite';
const SOCKETS = '/run/candidate';
const SOCKET = 'socket';
const MEMORY_MB = 2048;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

interface CommandOptions {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly model: string;
  readonly work: string;
  readonly isolation: Isolation;
  readonly signal: AbortSignal;
}

/**
 * Runs a command of a suite's author in a sandbox of its own, beside the candidate, which it reaches through one socket. What
 * it prints is read as the suite says. A crash, no time left, or what cannot be read is inconclusive.
 */
export async function runCommand(
  { socket }: Pick<IsolatedServer, 'socket'>,
  command: SuiteCommand,
  { files, model, work, isolation, signal }: CommandOptions,
): Promise<readonly CaseResult[]> {
  const inconclusive = (why: string): readonly CaseResult[] => [
    { id: COMMAND_CASE, kind: command.kind, weight: 1, verdict: 'inconclusive', failure: why },
  ];
  if (isolation === 'none')
    return inconclusive('this host has no sandbox, and a command of a suite is run in no other way');
  const folder = await placed(files, join(work, 'suite'));
  const relay = await relayTo(socket, join(work, 'relay'));
  const output: Buffer[] = [];
  let size = 0;
  const tooMuch = new AbortController();
  try {
    const [program = '', ...args] = command.run.map((word) =>
      word.replaceAll('{socket}', `${SOCKETS}/${SOCKET}`).replaceAll('{model}', model),
    );
    const result = await runSandboxed({
      command: [program, ...args],
      mounts: [
        { source: folder, target: FILES, writable: false },
        { source: relay.folder, target: SOCKETS, writable: false },
      ],
      cwd: FILES,
      env: {},
      limits: { wallSeconds: command.timeoutSeconds, memoryMb: MEMORY_MB },
      signal: AbortSignal.any([signal, tooMuch.signal]),
      sandbox: isolation,
      onOutput: ({ stream, bytes }) => {
        if (stream !== 'stdout') return;
        size += bytes.length;
        if (size <= MAX_OUTPUT_BYTES) output.push(bytes);
        else tooMuch.abort();
      },
    });
    if (result.ended !== 'exited') return inconclusive(`the command was ended: ${result.ended}`);
    if (result.exitCode !== 0) {
      const said = printable(result.stderr.trim().slice(-200));
      return inconclusive(`the command ended with ${result.exitCode ?? result.signal ?? 'no code'}, saying ${said}`);
    }
    return readCommandOutput(Buffer.concat(output), command);
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    if (error.code === 'INTERRUPTED' && tooMuch.signal.aborted && !signal.aborted)
      return inconclusive(`the command was ended: it printed more than ${MAX_OUTPUT_BYTES} bytes`);
    if (error.code !== 'MALFORMED') throw error;
    return inconclusive(error.message);
  } finally {
    await relay.close();
  }
}

async function placed(files: ReadonlyMap<string, Buffer>, folder: string): Promise<string> {
  await mkdir(folder, { mode: 0o755 });
  for (const [path, bytes] of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o755 });
    await writeFile(file, bytes, { mode: 0o444 });
  }
  await chmod(folder, 0o755);
  return folder;
}

/** The candidate's own socket lies in a folder that only its user reads: this one passes on what it is sent. */
async function relayTo(candidate: string, folder: string): Promise<{ folder: string; close(): Promise<void> }> {
  await mkdir(folder, { mode: 0o755 });
  const server: Server = createServer((caller) => {
    const behind = connect(candidate);
    const end = (): void => {
      caller.destroy();
      behind.destroy();
    };
    for (const side of [caller, behind]) side.on('error', end).on('close', end);
    caller.pipe(behind).pipe(caller);
  });
  const socket = join(folder, SOCKET);
  server.listen(socket);
  await once(server, 'listening');
  await chmod(socket, 0o666);
  await chmod(folder, 0o755);
  return {
    folder,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
