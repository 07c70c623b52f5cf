import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { LIMITS } from '../gateway/limits.js';
import { createDataPlane } from '../gateway/proxy.js';
import { Upstreams } from '../gateway/upstreams.js';
import { gatewayState, openGateway, report } from './gateway-state.js';
import { say, spread } from './measure.js';

/**
 * Milliseconds from the last bad answer that it takes to condemn the release under rollout until a caller who had that
 * release is answered by the stable one: between two moments at that caller, one exchange of the second kind included. And how
 * many bad answers it took. Flagger looks at its metrics at an interval, of ten seconds at the least, so it is not run beside.
 * Usage: breach [times]
 */
const times = Number(process.argv[2] ?? 200);
/** By its place among the weights it belongs to the release under rollout. */
const CALLER = 'caller-0';
const MOST_ANSWERS = 1_000;

const folder = mkdtempSync(join(tmpdir(), 'custody-bench-'));
const replica = createServer((incoming, outgoing) => {
  incoming.resume().on('end', () => outgoing.writeHead(500).end());
});
replica.listen(0, '127.0.0.1');
await once(replica, 'listening');
try {
  const took: number[] = [];
  let needed = 0;
  // The first ones only warm up.
  for (let time = -10; time < times; time += 1) {
    const { ms, answers } = await breach(join(folder, String(time)));
    if (time >= 0) took.push(ms);
    needed = answers;
  }
  say({ times, badAnswersNeeded: needed, millisecondsToStable: spread(took) });
} finally {
  replica.close();
  rmSync(folder, { recursive: true, force: true });
}

async function breach(state: string): Promise<{ readonly ms: number; readonly answers: number }> {
  const held = gatewayState((replica.address() as AddressInfo).port);
  const gateway = openGateway(state, held, held.replicas);
  const upstreams = new Upstreams(null, LIMITS.maxHeaderBytes);
  const plane = createDataPlane(gateway, { upstreams, report });
  plane.server.listen(0, '127.0.0.1');
  await once(plane.server, 'listening');
  const { port } = plane.server.address() as AddressInfo;
  const ask = async (): Promise<string> => {
    const headers = { 'x-custody-caller': CALLER, connection: 'keep-alive' };
    const answer = await request(`http://127.0.0.1:${port}/v2/models/digits/infer`, { method: 'POST', headers });
    await answer.body.dump();
    return String(answer.headers['x-custody-release-version']);
  };
  try {
    if ((await ask()) !== '1.1.0') throw new Error(`${CALLER} does not belong to the release under rollout`);
    for (let answers = 1; answers < MOST_ANSWERS; answers += 1) {
      const answeredAt = performance.now();
      if ((await ask()) === '1.0.0') return { ms: performance.now() - answeredAt, answers };
    }
    throw new Error(`${MOST_ANSWERS} bad answers condemned nothing`);
  } finally {
    await plane.close();
    await gateway.close();
  }
}
