// Puts the command and the libraries that it needs at every start into a few files: reading a hundred of them takes longer
// than what most commands do. The processes of the stack are started once and stay as they are compiled.
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { ROOT } from './lib.mjs';

const DIST = join(ROOT, 'dist');
const INSIDE = /^(zod|commander|picocolors|canonicalize|yaml|semver)(\/|$)/;

const bundle = await rolldown({
  input: [join(DIST, 'client', 'main.js'), join(DIST, 'adapters', 'source', 'hash-thread.js')],
  platform: 'node',
  external: (id) => !id.startsWith('.') && !id.startsWith('/') && !INSIDE.test(id),
});
// As deep as what it is made of, so that what looks for its neighbours finds them.
await bundle.write({ dir: join(DIST, 'client', 'cli'), format: 'esm', sourcemap: true, cleanDir: true });
await bundle.close();
