// `npm start`: sets everything up, then takes a real model through its whole life.
import { join } from 'node:path';
import { build, install } from './build.mjs';
import { ROOT, hand, main } from './lib.mjs';
import { servers } from './servers.mjs';

await main(async () => {
  await install();
  const found = await servers();
  await build(found);
  return hand(
    process.execPath,
    [join(ROOT, 'dist', 'examples', 'digits', 'story.js'), ...process.argv.slice(2)],
    found,
  );
});
