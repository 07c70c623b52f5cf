import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  scannersFor,
  type ArtifactFormat,
  type ArtifactRules,
  type ScannedFile,
  type ScannerVerdict,
} from '../../domain/artifacts.js';
import { CustodyError } from '../../domain/errors.js';
import { printable } from '../../formats/json.js';
import { readSarif } from '../../formats/scan/sarif.js';
import type { SandboxKind, SandboxLimits, SandboxMount, SandboxResult } from '../sandbox/port.js';
import { runSandboxed } from '../sandbox/sandbox.js';
import { expectedBytes } from '../source/file.js';
import type { SourceRelease } from '../source/folder.js';
import { writeNew } from '../source/inspect.js';

/** A scanner of somebody else's, as this host runs it. */
export interface Scanner {
  /** The program and its arguments; `{file}` stands for the file. */
  readonly command: readonly [string, ...string[]];
  /** What it needs of the host, read-only and under the same path: the folder that it is installed in. */
  readonly mounts?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly limits: Pick<SandboxLimits, 'wallSeconds' | 'memoryMb'>;
  readonly answers: ScannerAnswer;
}

export type ScannerAnswer =
  /** SARIF 2.1.0 on its standard output. */
  | { readonly kind: 'sarif' }
  | {
      readonly kind: 'exit-code';
      readonly clean: readonly number[];
      readonly findings: readonly number[];
      /** What its output holds only if it has looked at the file: many end well when they have scanned nothing. */
      readonly scanned: string;
    };

/** What each scanner that the policy names for them says of these files. */
export type Scanners = (
  source: SourceRelease,
  files: readonly ScannedFile[],
  rules: ArtifactRules,
  signal?: AbortSignal,
) => Promise<readonly ScannerVerdict[]>;

/** Many scanners go by the name of a file: it gets the one that its content has. */
const ENDINGS: Partial<Readonly<Record<ArtifactFormat, string>>> = {
  pickle: 'pkl',
  pytorch: 'pt',
  numpy: 'npy',
  keras: 'keras',
  hdf5: 'h5',
  onnx: 'onnx',
  gguf: 'gguf',
  'saved-model': 'pb',
  zip: 'zip',
  tar: 'tar',
  compressed: 'gz',
  pdf: 'pdf',
};
const FILE = '{file}';
const MAX_OUTPUT = 8 * 1024 * 1024;
const TAIL = 400;

export interface ScannersOptions {
  readonly known: Readonly<Record<string, Scanner>>;
  /** A private folder for the copies that are looked at. */
  readonly work: string;
  readonly sandbox?: SandboxKind;
}

/**
 * Runs other people's scanners in the sandbox, each on a copy of one file whose every byte was checked while it was made.
 * SANDBOX_UNAVAILABLE on a host that has none. A scanner that this host does not know says nothing, which lets nothing in.
 */
export function createScanners({ known, work, sandbox }: ScannersOptions): Scanners {
  return async (source, files, rules, signal) => {
    const verdicts: ScannerVerdict[] = [];
    for (const file of files) {
      const named = (scannersFor(file.format, rules) ?? []).filter((name) => Object.hasOwn(known, name));
      if (named.length === 0) continue;
      await mkdir(work, { recursive: true, mode: 0o700 });
      const folder = await mkdtemp(join(work, 'scan-'));
      try {
        await chmod(folder, 0o755);
        const copy = join(folder, `file.${ENDINGS[file.format] ?? 'bin'}`);
        await writeNew(
          copy,
          expectedBytes(join(source.folder, file.path), file, signal === undefined ? {} : { signal }),
        );
        for (const name of named) {
          const said = await runScanner(known[name] as Scanner, folder, copy, sandbox, signal);
          verdicts.push({ scanner: name, file: file.path, ...said });
        }
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }
    return verdicts;
  };
}

type Said = Pick<ScannerVerdict, 'verdict' | 'message'>;

async function runScanner(
  scanner: Scanner,
  folder: string,
  copy: string,
  sandbox: SandboxKind | undefined,
  signal: AbortSignal | undefined,
): Promise<Said> {
  const target = `/scan/${copy.slice(folder.length + 1)}`;
  const mounts: SandboxMount[] = [
    { source: folder, target: '/scan', writable: false },
    ...(scanner.mounts ?? []).map((path) => ({ source: path, target: path, writable: false })),
  ];
  const [program, ...args] = scanner.command.map((word) => word.replaceAll(FILE, target));
  const output: Buffer[] = [];
  let size = 0;
  const result = await runSandboxed({
    command: [program ?? '', ...args],
    mounts,
    cwd: '/tmp',
    env: { HOME: '/tmp', ...scanner.env },
    limits: scanner.limits,
    onOutput: ({ stream, bytes }) => {
      if (stream === 'stderr' && scanner.answers.kind === 'sarif') return;
      size += bytes.length;
      if (size <= MAX_OUTPUT) output.push(bytes);
    },
    ...(sandbox === undefined ? {} : { sandbox }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (result.ended !== 'exited') return failed(result, 'it did not come to its end');
  if (size > MAX_OUTPUT) return failed(result, `it says more than ${MAX_OUTPUT} bytes`);
  return answerOf(scanner.answers, result, Buffer.concat(output));
}

function answerOf(answers: ScannerAnswer, result: SandboxResult, output: Buffer): Said {
  if (answers.kind === 'sarif') {
    try {
      const said = readSarif(output);
      // A scanner that broke off may have written its log before.
      return said.verdict === 'clean' && result.exitCode !== 0
        ? failed(result, `its log is clean, and it ended with exit code ${result.exitCode ?? -1}`)
        : said;
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
      return failed(result, error.message);
    }
  }
  const code = result.exitCode ?? -1;
  if (answers.findings.includes(code)) return { verdict: 'findings', message: tail(output.toString('utf8')) };
  if (!answers.clean.includes(code)) return failed(result, `exit code ${code}`);
  return new RegExp(answers.scanned, 'm').test(output.toString('utf8'))
    ? { verdict: 'clean', message: '' }
    : failed(result, 'it ended well, and does not say that it scanned anything');
}

function failed({ ended, stdout, stderr }: SandboxResult, problem: string): Said {
  const said = tail(`${stdout}\n${stderr}`);
  return { verdict: 'failed', message: `${problem} (${ended})${said === '' ? '' : `: ${said}`}` };
}

function tail(text: string): string {
  return printable(text.trim().replaceAll(/\s+/g, ' ').slice(-TAIL));
}
