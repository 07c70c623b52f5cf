import { mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { parseConfig } from '../formats/json.js';
import { parsePinnedRoot, type PinnedRoot } from '../formats/policy.js';
import { LIMITS, limitsSchema } from './limits.js';

const path = z.string().startsWith('/');

const configSchema = z.strictObject({
  environment: z.string().min(1),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of this process's own. */
  state: path,
  /** Where callers connect. Port 0: one that is free. */
  listen: z.strictObject({
    host: z.string().min(1),
    port: z.int().min(0).max(65_535),
    /** Without it, callers speak plain HTTP. */
    tls: z.strictObject({ cert: path, key: path, clientCa: path.optional() }).optional(),
  }),
  /** The socket for control, serving and watch. The operating system knows no longer names than this. */
  admin: z.strictObject({ socket: path.max(107, 'a socket path has at most 107 bytes') }),
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
