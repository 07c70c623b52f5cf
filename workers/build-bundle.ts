import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUNDLES, bundleWorkflows } from './bundle.js';

const fileOf = (name: string): string => fileURLToPath(new URL(`../workflows/${name}.js`, import.meta.url));
const interceptors = { plain: [], traced: [fileOf('traces')] };
for (const bundle of ['plain', 'traced'] as const) {
  const { code } = await bundleWorkflows(fileOf('index'), { interceptors: interceptors[bundle] });
  writeFileSync(join(import.meta.dirname, '..', BUNDLES[bundle]), code);
}
