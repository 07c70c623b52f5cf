import { mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { parseConfig } from '../formats/json.js';
import { tlsFilesSchema } from '../formats/tls.js';
import { parsePinnedRoot, type PinnedRoot } from '../formats/policy.js';
import { LIMITS, limitsSchema } from './limits.js';
import { callerTlsSchema } from './tls.js';

const path = z.string().startsWith('/');

/** Port 0: one that is free. */
const listen = z.strictObject({ host: z.string().min(1), port: z.int().min(0).max(65_535) });

/** A listening socket that this process was started with: several gateways may have the same one. */
const inherited = z.strictObject({ fd: z.int().min(3) });

const callerTls = { tls: callerTlsSchema.optional() };

const configSchema = z.strictObject({
  environment: z.string().min(1),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of this process's own. */
  state: path,
  /** Where callers connect: over TLS, or in the clear. */
  listen: z.union([listen.extend(callerTls), inherited.extend(callerTls)]),
  /** For control, serving and watch: a socket on their host, of which the operating system knows no longer names, or an
   * address where both ends prove who they are. */
  admin: z.union([
    z.strictObject({ socket: path.max(107, 'a socket path has at most 107 bytes') }),
    z.strictObject({ listen, tls: tlsFilesSchema }),
  ]),
  /** How model servers on other hosts are spoken with. Without it only those on loopback are. */
  relays: tlsFilesSchema.exactOptional(),
  limits: limitsSchema.default(LIMITS),
  /** One line of JSON on stdout for each request. */
  accessLog: z.boolean().default(true),
});

export type GatewayConfig = Omit<z.infer<typeof configSchema>, 'root'> & { readonly root: PinnedRoot };

/** Reads the configuration and the pinned root, and makes the state folder. CONFIG_INVALID lists everything that does not fit. */
export function loadConfig(file: string | undefined): GatewayConfig {
  if (file === undefined) throw new CustodyError('USAGE', 'usage: gateway <config.json>');
  const config = parseConfig(configSchema, readText(file), file);
  const root = parsePinnedRoot(readText(config.root), config.root, config.environment);
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  return { ...config, root };
}

function readText(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot read ${file}`, { details: { file }, cause });
  }
}
