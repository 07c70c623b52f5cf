import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The compiled code: what the stack starts its processes from, and what people run. */
export function compiled(file: string): string {
  return join(process.cwd(), 'dist', file);
}

export async function load<T>(file: string): Promise<T> {
  return (await import(/* @vite-ignore */ pathToFileURL(compiled(file)).href)) as T;
}
