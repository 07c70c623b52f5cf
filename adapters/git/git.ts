import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { CustodyError } from '../../domain/errors.js';
import { quote } from '../../formats/json.js';

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const TOLD = 300;

/**
 * What keeps a repository of somebody else's from having a say in how it is read: nobody's configuration, no replaced objects
 * (git-replace), no protocol that runs programs, and no question to a person.
 */
const ALONE = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ALLOW_PROTOCOL: 'file:https:ssh',
  LC_ALL: 'C',
};
/** Objects are checked as they come in. Whoever owns a repository on this host: it was named in our own configuration. */
const CONFIG = `[safe]
\tdirectory = *
[transfer]
\tfsckObjects = true
[core]
\tattributesFile = /dev/null
[http]
\tlowSpeedLimit = 1000
\tlowSpeedTime = 60
[gc]
\tauto = 0
`;
/** Of what git takes from the environment: which authorities to trust. All else could make it work in another repository. */
const KEPT: ReadonlySet<string> = new Set(['GIT_SSL_CAINFO', 'GIT_SSL_CAPATH']);

interface GitOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
}

/** What git says. INPUT_MISSING, with its own words, when it fails. TOOL_MISSING: this host has none. */
export async function runGit(args: readonly string[], { cwd, env = {}, input, signal }: GitOptions): Promise<Buffer> {
  const { failed, exitCode, stdout, stderr, code, isCanceled } = await execa('git', args, {
    cwd,
    env: { ...withoutGits(process.env), ...env },
    encoding: 'buffer',
    maxBuffer: MAX_OUTPUT_BYTES,
    reject: false,
    stripFinalNewline: false,
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  if (!failed) return Buffer.from(stdout);
  if (isCanceled) throw new CustodyError('INTERRUPTED', 'git was ended because its caller was');
  if (code === 'ENOENT') throw new CustodyError('TOOL_MISSING', 'code is taken from git, and this host has no `git`');
  const said = Buffer.from(stderr).toString('utf8').trim().slice(0, TOLD);
  throw new CustodyError('INPUT_MISSING', `git ${args[0] ?? ''} failed (${exitCode ?? code ?? ''}): ${quote(said)}`, {
    details: { exitCode: exitCode ?? null },
  });
}

/** Whether git has failed in this way. */
export function failedWith(error: unknown, exitCode: number): boolean {
  return error instanceof CustodyError && error.details['exitCode'] === exitCode;
}

function withoutGits(environment: NodeJS.ProcessEnv): Record<string, undefined> {
  const names = Object.keys(environment).filter((name) => name.startsWith('GIT_') && !KEPT.has(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** A repository of our own, which only holds what was fetched into it. */
export class Clone {
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;

  private constructor(folder: string, signal: AbortSignal | undefined) {
    this.#folder = folder;
    this.#signal = signal;
  }

  /** Makes an empty one in a folder that is not there yet. */
  static async make(folder: string, signal?: AbortSignal): Promise<Clone> {
    const clone = new Clone(folder, signal);
    await mkdir(clone.#repository, { recursive: true, mode: 0o700 });
    await writeFile(clone.#config, CONFIG);
    await clone.run(['init', '--quiet', '--bare', '--template=']);
    return clone;
  }

  run(args: readonly string[], input?: string): Promise<Buffer> {
    const env = { ...ALONE, GIT_CONFIG_GLOBAL: this.#config };
    return runGit(args, {
      cwd: this.#repository,
      env,
      signal: this.#signal,
      ...(input === undefined ? {} : { input }),
    });
  }

  async lines(args: readonly string[]): Promise<readonly string[]> {
    return (await this.run(args))
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
  }

  get #repository(): string {
    return join(this.#folder, 'repository.git');
  }

  get #config(): string {
    return join(this.#folder, 'config');
  }
}
