import { existsSync, renameSync, rmSync } from 'node:fs';
import { replaceFile } from '../../../client/files.js';
import { isAlive, readDescription, type Layout } from '../../../client/stack/layout.js';
import { CustodyError } from '../../../domain/errors.js';

/**
 * A life begins with an empty folder. The state of the last story is kept beside it, once; a folder that holds anybody
 * else's stack is left alone. USAGE says so.
 */
export function beginAnew(layout: Layout): { readonly keptAt: string | null } {
  const marker = layout.path('story.json');
  const isOurs = existsSync(marker);
  if (!isOurs && existsSync(layout.root))
    throw new CustodyError(
      'USAGE',
      `${layout.state} holds a stack that is not a story's: name another folder in CUSTODY_STATE`,
    );
  if (existsSync(layout.description) && isAlive(readDescription(layout).pid))
    throw new CustodyError('USAGE', `a story is being told in ${layout.state}: stop it first`);
  let keptAt: string | null = null;
  if (isOurs) {
    keptAt = `${layout.state}-last`;
    rmSync(keptAt, { recursive: true, force: true });
    renameSync(layout.state, keptAt);
  }
  layout.folder();
  replaceFile(marker, '{}');
  return { keptAt };
}
