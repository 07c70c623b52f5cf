// What the bootstrap scripts share. Plain Node, no dependency: they run before anything is installed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const CACHE =
  process.env.CUSTODY_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'custody');

/** A failure with a message for people: no stack trace, exit code 7 (a dependency is missing) unless said otherwise. */
export class SetupError extends Error {
  constructor(message, exitCode = 7) {
    super(message);
    this.exitCode = exitCode;
  }
}

export const say = (text) => process.stderr.write(`${text}\n`);

export function digestOf(...files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(existsSync(file) ? readFileSync(file) : '');
  return hash.digest('hex').slice(0, 16);
}

export function onPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch (error) {
      if (!['ENOENT', 'EACCES', 'ENOTDIR'].includes(error.code)) throw error;
    }
  }
  return null;
}

/** Runs a command; `quiet` keeps its output for the error message. Resolves with its stdout. */
export function run(command, args, { cwd = ROOT, env = {}, quiet = true } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
    });
    let out = '';
    let err = '';
    child.stdout?.on('data', (chunk) => (out += chunk));
    child.stderr?.on('data', (chunk) => (err += chunk));
    child.on('error', (error) => fail(new SetupError(`could not run ${command}: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) done(out);
      else
        fail(new SetupError(`${command} ${args.join(' ')} ended with ${signal ?? code}\n${(out + err).slice(-4000)}`));
    });
  });
}

/** Runs a command with our terminal, passing signals on; resolves with its exit code. */
export function hand(command, args, env = {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: process.cwd(), env: { ...process.env, ...env }, stdio: 'inherit' });
    const forward = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward);
    child.on('error', fail);
    child.on('close', (code, signal) => done(signal === 'SIGINT' ? 130 : (code ?? 1)));
  });
}

/** The one way a bootstrap script ends: its exit code, or one message. */
export async function main(body) {
  try {
    process.exitCode = await body();
  } catch (error) {
    say(error instanceof SetupError ? `\n${error.message}` : String(error.stack ?? error));
    process.exitCode = error instanceof SetupError ? error.exitCode : 1;
  }
}
