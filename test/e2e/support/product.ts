import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the stack starts its processes from, and what people run: the compiled code, of this version unless another is named by its folder. */
export function compiled(file: string, version = process.cwd()): string {
  return join(version, 'dist', file);
}

export async function load<T>(file: string, version?: string): Promise<T> {
  return (await import(/* @vite-ignore */ pathToFileURL(compiled(file, version)).href)) as T;
}
