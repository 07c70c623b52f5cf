import { mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson } from '../formats/json.js';
import type { PinnedRoot } from '../formats/policy.js';

const path = z.string().startsWith('/');

const configSchema = z.strictObject({
  environment: z.string().min(1),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of this process's own. */
  state: path,
  /** Where callers connect. Port 0: one that is free. */
  listen: z.strictObject({ host: z.string().min(1), port: z.int().min(0).max(65_535) }),
  /** The socket for control, serving and watch. The operating system knows no longer names than this. */
  admin: z.strictObject({ socket: path.max(107, 'a socket path has at most 107 bytes') }),
});

const rootSchema = z.strictObject({
  environment: z.string(),
  rootKeys: z.array(z.string()).min(1),
  threshold: z.int().min(1),
});

export type GatewayConfig = Omit<z.infer<typeof configSchema>, 'root'> & { readonly root: PinnedRoot };

/** Reads the configuration and the pinned root, and makes the state folder. CONFIG_INVALID lists everything that does not fit. */
export function loadConfig(file: string | undefined): GatewayConfig {
  if (file === undefined) throw new CustodyError('USAGE', 'usage: gateway <config.json>');
  const config = read(configSchema, file);
  const root = read(rootSchema, config.root);
  if (root.environment !== config.environment)
    throw new CustodyError('CONFIG_INVALID', `${config.root} is the root of the environment ${root.environment}`);
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  return { ...config, root };
}

function read<T>(schema: z.ZodType<T>, file: string): T {
  try {
    return checkShape(schema, parseJson(readFileSync(file), file), file);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new CustodyError('CONFIG_INVALID', `cannot use ${file}: ${problem}`, { cause });
  }
}
