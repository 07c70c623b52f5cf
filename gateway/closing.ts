import type { Server } from 'node:http';

const SWEEP_MS = 50;

/** Takes nothing new and lets the answers under way end; connections that are kept alive end with their answer. */
export async function closeGently(server: Server): Promise<void> {
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearInterval(sweep);
}
