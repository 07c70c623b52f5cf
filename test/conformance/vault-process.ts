import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import ts from 'typescript';
import { createVaultClient, type VaultClient } from '../../adapters/vault/client.js';
import { isErrorCode, type ErrorCode } from '../../domain/errors.js';
import type { VaultSocket } from '../../domain/vault.js';
import type { PinnedRoot } from '../../formats/policy.js';
import type { TokenConfig } from '../../vault/config.js';
import { logVkey } from '../support/log-key.js';
import { makeToken, type TestToken } from '../support/softhsm.js';
import type { Release } from '../support/world.js';

/**
 * Kills the process in place of its nth call, after it was ready, that changes a file, a folder or a token. Of the functions of
 * PKCS#11 that are called then, C_DestroyObject has two arguments, and five those that make a key or use one.
 */
const CRASH_HOOK = `
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
let armed = false;
let left = Number(process.env.CRASH_AT);
const step = () => { if (armed && --left <= 0) process.kill(process.pid, 'SIGKILL'); };
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (text, ...rest) => { armed ||= String(text).includes('"ready":true'); return write(text, ...rest); };
for (const name of ['rename', 'unlink']) {
  const original = fs[name];
  fs[name] = (...args) => { step(); return original(...args); };
}
const open = fs.open;
fs.open = async (...args) => {
  if (args[1] !== 'r') step();
  const handle = await open(...args);
  for (const name of ['write', 'writeFile']) {
    const original = handle[name].bind(handle);
    handle[name] = (...parameters) => { step(); return original(...parameters); };
  }
  return handle;
};
syncBuiltinESMExports();
if (process.env.SOFTHSM2_CONF !== undefined) {
  const { default: koffi } = await import('koffi');
  const decode = koffi.decode;
  koffi.decode = (...of) => {
    const { async } = decode(...of);
    if (async === undefined) return decode(...of);
    return { async: (...args) => { if ([2, 5].includes(args.length - 1)) step(); async(...args); } };
  };
}
`;

export interface VaultProcess {
  readonly client: VaultClient;
  readonly sockets: Readonly<Record<VaultSocket, string>>;
  readonly pid: number;
  /** SIGKILL, at once. */
  kill(): Promise<void>;
  /** Ends the vault's stdin, as a supervisor that dies does; answers its exit code. */
  stop(): Promise<number | null>;
  /** Everything that it has written to stdout and stderr. */
  output(): string;
}

/** A folder with the compiled vault, and folders of vaults. */
export class VaultBench {
  readonly #folder: string;
  readonly #running = new Set<ChildProcess>();
  /** By state, where keys are wrapped: each has a token of its own. */
  readonly #tokens: Map<string, TestToken> | null;
  #states = 0;

  private constructor(folder: string, wrapped: boolean) {
    this.#folder = folder;
    this.#tokens = wrapped ? new Map() : null;
  }

  static async create(wrapped = false): Promise<VaultBench> {
    const folder = await mkdtemp(join(tmpdir(), 'custody-vault-'));
    for (const part of ['domain', 'formats', 'vault']) await compile(part, join(folder, 'dist', part));
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    await symlink(resolve('node_modules'), join(folder, 'node_modules'));
    await writeFile(join(folder, 'crash.mjs'), CRASH_HOOK);
    return new VaultBench(folder, wrapped);
  }

  /** A new place for a vault's state, or a copy of another one, with its token. */
  async state(from?: string): Promise<string> {
    this.#states += 1;
    const state = join(this.#folder, `s${this.#states}`);
    if (from !== undefined) await cp(from, state, { recursive: true });
    if (this.#tokens !== null) {
      const original = from === undefined ? undefined : this.token(from);
      this.#tokens.set(state, await makeToken(`${state}.token`, original));
    }
    return state;
  }

  token(state: string): TestToken {
    const token = this.#tokens?.get(state);
    if (token === undefined) throw new Error(`${state} has no token`);
    return token;
  }

  /** Starts a vault and waits until it is ready. Rejects with what it said when it ends before. */
  async start(
    state: string,
    root: PinnedRoot,
    options: {
      readonly crashAt?: number;
      readonly sockets?: Readonly<Record<string, unknown>>;
      readonly keys?: TokenConfig | undefined;
    } = {},
  ): Promise<VaultProcess> {
    const folder = `${state}.run`;
    await mkdir(folder, { recursive: true });
    const sockets = {
      create: join(folder, 'create.sock'),
      open: join(folder, 'open.sock'),
      destroy: join(folder, 'destroy.sock'),
      recover: join(folder, 'recover.sock'),
    };
    const rootFile = join(folder, 'root.json');
    const configFile = join(folder, 'config.json');
    await writeFile(rootFile, JSON.stringify(root));
    const configured = Object.fromEntries(Object.entries(sockets).map(([name, path]) => [name, { path }]));
    const token = this.#tokens?.get(state);
    const config = {
      ...(token === undefined ? {} : { keys: token.keys }),
      environment: root.environment,
      root: rootFile,
      state,
      sockets: configured,
      log: logVkey,
      ...options,
    };
    delete (config as { crashAt?: number }).crashAt;
    await writeFile(configFile, JSON.stringify(config));
    const hook = options.crashAt === undefined ? [] : ['--import', join(this.#folder, 'crash.mjs')];
    const child = spawn(process.execPath, [...hook, join(this.#folder, 'dist', 'vault', 'main.js'), configFile], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        ...{ ...process.env, CRASH_AT: String(options.crashAt ?? '') },
        ...(token === undefined ? {} : { SOFTHSM2_CONF: token.conf }),
      },
    });
    this.#running.add(child);
    const ended = once(child, 'close').then(() => this.#running.delete(child));
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    const ready = once(createInterface(child.stdout), 'line').then(() => true);
    if (!(await Promise.race([ready, ended.then(() => false)])))
      throw new Error(`the vault ended with code ${child.exitCode}: ${output}`);
    return {
      client: createVaultClient(sockets),
      sockets,
      pid: child.pid ?? 0,
      kill: async () => {
        child.kill('SIGKILL');
        await ended;
      },
      stop: async () => {
        child.stdin.end();
        await ended;
        return child.exitCode;
      },
      output: () => output,
    };
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#running].map(async (child) => {
        const ended = once(child, 'close');
        child.kill('SIGKILL');
        await ended;
      }),
    );
    await rm(this.#folder, { recursive: true });
  }
}

/** All files under a folder, by path. */
export async function filesUnder(folder: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found.set(path, await readFile(path));
  }
  return found;
}

async function compile(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.isDirectory()) await compile(join(from, entry.name), join(to, entry.name));
    else if (entry.name.endsWith('.ts')) {
      const { outputText } = ts.transpileModule(await readFile(join(from, entry.name), 'utf8'), {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
      });
      await writeFile(join(to, entry.name.replace(/\.ts$/, '.js')), outputText);
    }
  }
}

/** The code that a refusal has. */
export async function codeOf(refused: Promise<unknown>): Promise<ErrorCode> {
  try {
    await refused;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (isErrorCode(code)) return code;
    throw error;
  }
  throw new Error('it was not refused');
}

export const versionOf = (blob: string): string => `version-of-${blob.slice(0, 8)}`;

/** Claims and stores every file of a release, as intake does; answers the keys that were new, by plaintext. */
export async function ingest({ client }: Pick<VaultProcess, 'client'>, release: Release): Promise<Map<string, Buffer>> {
  const keys = new Map<string, Buffer>();
  for (const { sha256, size } of release.manifest.files) {
    const claimed = await client.claim({ sha256, size, release: release.release });
    if (claimed.state === 'stored') continue;
    keys.set(sha256, claimed.key);
    const place = { versionId: versionOf(claimed.blob), ciphertext: sha256, ciphertextSize: size + 56 };
    await client.stored({ sha256, blob: claimed.blob, ...place });
  }
  return keys;
}

export const digestsOf = (release: Release): string[] => release.manifest.files.map(({ sha256 }) => sha256);
