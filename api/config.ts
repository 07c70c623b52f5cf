import { mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { parseConfig } from '../formats/json.js';
import { importPrivateKey, type SigningKey } from '../formats/keys.js';
import { parsePinnedRoot, type PinnedRoot } from '../formats/policy.js';

const path = z.string().startsWith('/');

const configSchema = z.strictObject({
  environment: z.string().min(1),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of this process's own. */
  state: path,
  /** The key that the policy gives to an authority with the role `api`. */
  key: z.strictObject({ id: z.string(), path }),
  /** Where requests come in. Port 0: one that is free. Other hosts' requests come through something that ends TLS. */
  listen: z.strictObject({ host: z.string().min(1), port: z.int().min(0).max(65_535) }),
  /** The socket by which control delivers policies. The operating system knows no longer names than this. */
  admin: z.strictObject({ socket: path.max(107, 'a socket path has at most 107 bytes') }),
});

export type ApiConfig = Omit<z.infer<typeof configSchema>, 'root' | 'key'> & {
  readonly root: PinnedRoot;
  readonly id: string;
  readonly key: SigningKey;
};

/** Reads the configuration, the pinned root and the key, and makes the state folder. CONFIG_INVALID lists what does not fit. */
export function loadConfig(file: string | undefined): ApiConfig {
  if (file === undefined) throw new CustodyError('USAGE', 'usage: api <config.json>');
  const config = parseConfig(configSchema, readText(file), file);
  const root = parsePinnedRoot(readText(config.root), config.root, config.environment);
  const key = importPrivateKey(readText(config.key.path).toString('utf8'));
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  return { ...config, root, id: config.key.id, key };
}

function readText(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot read ${file}`, { details: { file }, cause });
  }
}
