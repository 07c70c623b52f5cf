// `npm run bench`: sets everything up, with whom Custody is measured beside, then runs every bench, or those that are named.
import { join } from 'node:path';
import { build, install } from './build.mjs';
import { ROOT, hand, main, run, say } from './lib.mjs';
import { loadGenerator, servers } from './servers.mjs';

await main(async () => {
  await install();
  const found = { ...(await servers({ forTests: true })), CUSTODY_WRK: await loadGenerator() };
  say('  installing whom to measure beside …');
  await run('npm', ['ci', '--prefix', join('bench', 'peers'), '--ignore-scripts', '--no-audit', '--loglevel=error']);
  await build(found);
  return hand(process.execPath, [join(ROOT, 'dist', 'bench', 'run.js'), ...process.argv.slice(2)], found);
});
