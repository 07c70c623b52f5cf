import type { Server } from 'node:net';
import { CustodyError } from '../domain/errors.js';

type Address = { readonly host: string; readonly port: number } | { readonly path: string } | { readonly fd: number };

/** PORT_IN_USE; CONFIG_INVALID for a descriptor that is no socket to listen on. */
export async function listening(server: Server, at: Address): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    throw explained(cause, at);
  }
}

function explained(cause: unknown, at: Address): unknown {
  const { code, message } = cause as NodeJS.ErrnoException;
  if ('fd' in at)
    return new CustodyError('CONFIG_INVALID', `descriptor ${at.fd} is no socket to listen on: ${message}`, { cause });
  return code === 'EADDRINUSE' ? new CustodyError('PORT_IN_USE', message, { cause }) : cause;
}
