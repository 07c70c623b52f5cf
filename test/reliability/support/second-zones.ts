import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../../client/stack/layout.js';
import { Users } from '../../../client/stack/users.js';
import { ZONES, type Zone } from '../../../domain/names.js';
import type { Bench } from '../../e2e/harness.js';
import { compiled } from '../../e2e/support/product.js';

export const secondOf = (zone: Zone): string => `${zone}-2`;

/**
 * One more worker for each zone, with the same keys and credentials as the first, and a state folder, a desk, metrics and outputs of its own:
 * as on a host of its own, but for the sockets of the vault, the api and the gateway.
 */
export async function startSecondZones(
  bench: Bench,
  edit: (zone: Zone, config: object) => object = (_, config) => config,
): Promise<void> {
  const users = new Users(bench.state);
  for (const zone of ZONES) {
    const home = join(bench.folder, 'second', zone);
    mkdirSync(home, { recursive: true });
    chmodSync(join(bench.folder, 'second'), 0o755);
    // Model servers, as another user, come through to their releases.
    const mode = zone === 'serving' ? 0o711 : 0o700;
    const first = JSON.parse(readFileSync(join(bench.state, 'zones', zone, 'config.json'), 'utf8')) as {
      readonly audit?: object;
      readonly outputs?: string;
      readonly metrics?: { readonly host: string };
    };
    const { audit, outputs, metrics, ...rest } = first;
    const config = {
      ...rest,
      state: join(home, 'state'),
      ...(audit === undefined ? {} : { audit: { ...audit, port: await freePort() } }),
      ...(metrics === undefined ? {} : { metrics: { ...metrics, port: await freePort() } }),
      ...(outputs === undefined ? {} : { outputs: join(home, 'outputs') }),
    };
    mkdirSync(join(home, 'state'));
    if (outputs !== undefined) mkdirSync(join(home, 'outputs'));
    const file = join(home, 'config.json');
    writeFileSync(file, JSON.stringify(edit(zone, config)), { mode: 0o400 });
    for (const folder of [join(home, 'state'), home]) chmodSync(users.ownFolder(zone, folder, mode), mode);
    await bench.stack.supervisor.start({
      name: secondOf(zone),
      command: users.command(zone, [process.execPath, compiled('workers/main.js'), file]),
      env: { PATH: process.env['PATH'] ?? '', HOME: home, NODE_ENV: 'production' },
      logFile: join(bench.folder, 'second', `${zone}.log`),
    });
  }
}
