// `npm run setup`: everything that running Custody needs, and nothing else.
import { build, install } from './build.mjs';
import { main, say } from './lib.mjs';
import { servers } from './servers.mjs';

await main(async () => {
  await install();
  const found = await servers();
  await build(found);
  for (const [variable, path] of Object.entries(found)) say(`  ${variable}=${path}`);
  return 0;
});
