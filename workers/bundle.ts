import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where `npm run build` puts the bundled workflows: beside the compiled code, however this module itself is run. */
export function bundlePath(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const compiled = join(here, '..', 'workflow-bundle.js');
  return existsSync(compiled) ? compiled : join(here, '..', 'dist', 'workflow-bundle.js');
}
