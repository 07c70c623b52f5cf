import colors from 'picocolors';
import { CustodyError, exitCodeOf, type ErrorCode } from '../domain/errors.js';

/** Everything people read goes to stderr or, as the answer they asked for, to stdout; `--json` answers one JSON value. */
export interface Output {
  readonly json: boolean;
}

export function answer(output: Output, value: unknown, lines: readonly string[]): void {
  process.stdout.write(output.json ? `${JSON.stringify(value)}\n` : `${lines.join('\n')}\n`);
}

export function talk(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Says what went wrong, once, and sets the exit code. */
export function fail(output: Output, thrown: unknown): void {
  const error = named(thrown);
  const code: ErrorCode = error instanceof CustodyError ? error.code : 'INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  if (output.json) {
    const details = error instanceof CustodyError ? error.details : {};
    process.stdout.write(`${JSON.stringify({ error: { code, message, details } })}\n`);
  }
  talk(`${colors.red(code)} ${plain(message)}`);
  if (
    code === 'INTERNAL' &&
    error instanceof Error &&
    error.stack !== undefined &&
    process.env['CUSTODY_DEBUG'] !== undefined
  )
    talk(error.stack);
  process.exitCode = exitCodeOf(code);
}

/** What the operating system says of files, by our own name for it. */
function named(error: unknown): unknown {
  if (error instanceof CustodyError || !(error instanceof Error)) return error;
  const { code, path = '' } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new CustodyError('NO_SPACE', `no room is left for ${path || 'a file'}: free some and run this again`, {
        cause: error,
      });
    case 'ENOENT':
    case 'ENOTDIR':
      return new CustodyError('INPUT_MISSING', `there is no ${path || error.message}`, { cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EISDIR':
    case 'EEXIST':
    case 'EROFS':
      return new CustodyError('USAGE', `cannot use ${path || error.message}: ${code}`, { cause: error });
    default:
      return error;
  }
}

/** Others' text on a terminal: no escape sequence and no bidirectional trick gets through. Line breaks stay. */
export function plain(text: string): string {
  return text.replace(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    '�',
  );
}

/** As `1 key`, `2 keys`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

export const heading = (text: string): string => colors.bold(text);
export const faint = (text: string): string => colors.dim(text);
export const bad = (text: string): string => colors.red(text);
export const good = (text: string): string => colors.green(text);
