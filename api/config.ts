import { mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { parseConfig } from '../formats/json.js';
import { digestSchema } from '../formats/in-toto.js';
import { importPrivateKey, type SigningKey } from '../formats/keys.js';
import { parsePinnedRoot, type PinnedRoot } from '../formats/policy.js';

const path = z.string().startsWith('/');

const keySchema = z.strictObject({ id: z.string(), path });

const configSchema = z.strictObject({
  environment: z.string().min(1),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of this process's own. */
  state: path,
  /** The key that the policy gives to an authority with the role `api`. */
  key: keySchema,
  /** Where requests come in. Port 0: one that is free. Other hosts' requests come through something that ends TLS. */
  listen: z.strictObject({ host: z.string().min(1), port: z.int().min(0).max(65_535) }),
  /** Where Alertmanager posts what fires; without it, nowhere. */
  alerts: z
    .strictObject({
      /** The key that the policy gives to an authority with the role `monitor`, and no other. */
      key: keySchema,
      /** SHA-256 of the token that Alertmanager shows, in hex. */
      token: digestSchema,
      /** The endpoints that alerts are handed to. */
      temporal: z.strictObject({ address: z.string().min(1), namespace: z.string().min(1) }),
    })
    .exactOptional(),
  /** The socket by which control delivers policies. The operating system knows no longer names than this. */
  admin: z.strictObject({ socket: path.max(107, 'a socket path has at most 107 bytes') }),
});

type Read = z.infer<typeof configSchema>;

export type ApiConfig = Omit<Read, 'root' | 'key' | 'alerts'> & {
  readonly root: PinnedRoot;
  readonly id: string;
  readonly key: SigningKey;
  readonly alerts:
    (Omit<NonNullable<Read['alerts']>, 'key'> & { readonly id: string; readonly key: SigningKey }) | null;
};

/** Reads the configuration, the pinned root and the key, and makes the state folder. CONFIG_INVALID lists what does not fit. */
export function loadConfig(file: string | undefined): ApiConfig {
  if (file === undefined) throw new CustodyError('USAGE', 'usage: api <config.json>');
  const config = parseConfig(configSchema, readText(file), file);
  const root = parsePinnedRoot(readText(config.root), config.root, config.environment);
  const { alerts = null } = config;
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  return {
    ...{ ...config, root, ...held(config.key) },
    alerts: alerts === null ? null : { ...alerts, ...held(alerts.key) },
  };
}

function held({ id, path: file }: Read['key']): { readonly id: string; readonly key: SigningKey } {
  return { id, key: importPrivateKey(readText(file).toString('utf8')) };
}

function readText(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot read ${file}`, { details: { file }, cause });
  }
}
