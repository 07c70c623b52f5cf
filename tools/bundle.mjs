// Puts the programs that are started again and again, and the libraries that they need, into a few files: reading a hundred
// of them takes longer than what most of them do. The processes of the stack are started once and stay as they are compiled.
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { ROOT } from './lib.mjs';

const DIST = join(ROOT, 'dist');
const INSIDE = /^(zod|commander|picocolors|canonicalize|yaml|semver|minio)(\/|$)/;
/** What a library needs goes with it. */
const isExternal = (id, from = '') =>
  isBuiltin(id) || (/^[^./]/.test(id) && !INSIDE.test(id) && !from.includes('/node_modules/'));

const bundle = await rolldown({
  input: {
    custody: join(DIST, 'client', 'main.js'),
    'hash-thread': join(DIST, 'adapters', 'source', 'hash-thread.js'),
    scan: join(DIST, 'adapters', 'scan', 'main.js'),
  },
  platform: 'node',
  external: isExternal,
});
// As deep as what it is made of, so that what looks for its neighbours finds them.
await bundle.write({ dir: join(DIST, 'bundled', 'programs'), format: 'esm', sourcemap: true, cleanDir: true });
await bundle.close();
