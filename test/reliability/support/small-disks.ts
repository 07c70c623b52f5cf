import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A disk of its own for each folder of a stack, that can be filled to the last byte. Needs root. */
export class SmallDisks {
  readonly #mounted: string[] = [];

  /** Before anything is in the folder. */
  mount(folder: string, size: string): void {
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'none', folder]);
    this.#mounted.push(folder);
  }

  fill(folder: string): void {
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${ballast(folder)}`, 'bs=64k', 'status=none'], { stdio: 'pipe' });
    } catch (error) {
      if (!String(error).includes('No space left')) throw error;
      return;
    }
    throw new Error(`${folder} has no end`);
  }

  empty(folder: string): void {
    rmSync(ballast(folder));
  }

  unmount(): void {
    for (const folder of this.#mounted.splice(0)) execFileSync('umount', ['--lazy', folder]);
  }
}

const ballast = (folder: string): string => join(folder, 'ballast');
