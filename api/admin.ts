import { once } from 'node:events';
import { chmodSync, rmSync, statSync } from 'node:fs';
import type { Server } from 'node:http';
import { dirname } from 'node:path';
import { z } from 'zod';
import { parseEnvelope } from '../formats/dsse.js';
import { checkShape } from '../formats/json.js';
import { createListener } from './http.js';
import type { DeliveredPolicies } from './policies.js';

const MAX_BODY_BYTES = 16 * 1024 * 1024;

const deliverySchema = z.strictObject({
  policies: z.array(z.unknown().transform(parseEnvelope)).min(1).max(10_000),
});

/** How control delivers policies: over a socket of this process's user's own. Each is verified from the pinned root. */
export async function listenAdmin(
  policies: DeliveredPolicies,
  socket: string,
  report: (error: unknown) => void,
): Promise<Server> {
  const server = createListener({
    maxBodyBytes: MAX_BODY_BYTES,
    handlers: {
      'POST /policies': async (call) => {
        const delivery = checkShape(deliverySchema, await call.json(), 'the delivery');
        return { status: 200, body: await policies.deliver(delivery.policies) };
      },
      'GET /state': () => ({ status: 200, body: { policyVersion: policies.version } }),
    },
    onAnswer: (_route, _status, error) => {
      if (error !== null) report(error);
    },
  });
  // Left by a process that was killed. Two listeners never share a state folder, and so no socket.
  rmSync(socket, { force: true });
  const before = process.umask(0o177);
  try {
    server.listen(socket);
    await once(server, 'listening');
  } finally {
    process.umask(before);
  }
  // Where others cannot get into its folder, the folder's group says who may knock.
  if ((statSync(dirname(socket)).mode & 0o007) === 0) chmodSync(socket, 0o660);
  return server;
}
