// `npm run reliability`: sets everything up, then runs every experiment of test/reliability, or those that are named.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build, install } from './build.mjs';
import { ROOT, SetupError, hand, main } from './lib.mjs';
import { reliabilityServers } from './reliability-servers.mjs';
import { servers } from './servers.mjs';

await main(async () => {
  const folder = join('test', 'reliability');
  const all = readdirSync(join(ROOT, folder)).flatMap((file) => (file.endsWith('.test.ts') ? [file.slice(0, -8)] : []));
  const named = process.argv.slice(2);
  const unknown = named.filter((name) => !all.includes(name));
  if (unknown.length > 0)
    throw new SetupError(`no experiment is called ${unknown.join(', ')}: there are ${all.join(', ')}`, 2);
  await install();
  const found = { ...(await servers({ forTests: true })), ...(await reliabilityServers()) };
  await build(found);
  const files = (named.length === 0 ? all : named).map((name) => join(folder, `${name}.test.ts`));
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  return hand(process.execPath, [vitest, 'run', '--project', 'reliability', ...files], found);
});
