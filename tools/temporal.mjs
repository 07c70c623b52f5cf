// `npm run temporal -- <args>`: the Temporal CLI that was found, with the running stack's address.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hand, main } from './lib.mjs';
import { servers } from './servers.mjs';

await main(async () => {
  const { CUSTODY_TEMPORAL } = await servers();
  const described = join(process.env.CUSTODY_STATE ?? '.custody', 'stack.json');
  const env = {};
  if (existsSync(described)) {
    const { temporal } = JSON.parse(readFileSync(described, 'utf8'));
    env.TEMPORAL_ADDRESS = temporal.address;
    env.TEMPORAL_NAMESPACE = temporal.namespace;
  }
  return hand(CUSTODY_TEMPORAL, process.argv.slice(2), env);
});
