import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import type { VaultSocket } from '../domain/vault.js';
import { parseVerifierKeys, type LogVerifier } from '../formats/signed-note.js';
import { parseConfig } from '../formats/json.js';
import { parsePinnedRoot, type PinnedRoot } from '../formats/policy.js';

/** What the kernel has room for in the address of a unix socket, without the byte that ends it. */
const MAX_SOCKET_PATH_BYTES = 103;

const path = z.string().startsWith('/', 'expected an absolute path');
const socketPath = path.refine((text) => Buffer.byteLength(text) <= MAX_SOCKET_PATH_BYTES, {
  message: `a socket's path has at most ${MAX_SOCKET_PATH_BYTES} bytes`,
});
/** Who may connect: this user alone, or this group. By default whoever may enter a folder that is closed to others. */
const socketSchema = z.union([
  z.strictObject({
    path: socketPath,
    uid: z.int().min(0).exactOptional(),
    gid: z.int().min(0).exactOptional(),
  }),
  socketPath.transform((text) => ({ path: text })),
]);
export interface SocketConfig {
  readonly path: string;
  readonly uid?: number;
  readonly gid?: number;
}

const schema = z.strictObject({
  environment: z.string(),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of the vault's own. */
  state: path,
  sockets: z.strictObject({ create: socketSchema, open: socketSchema, destroy: socketSchema, recover: socketSchema }),
  /** The audit log's key (vkey of C2SP signed notes): what an auditor wants back must stand there. */
  log: z.string(),
  /** Without it, keys are files in the vault's folder. */
  keys: z.strictObject({ module: path, token: z.string().min(1), pinFile: path }).exactOptional(),
});

/** A PKCS#11 library, the label of its token that wraps the keys, and the file with the user's PIN. */
export interface TokenConfig {
  readonly module: string;
  readonly token: string;
  readonly pinFile: string;
}

export interface VaultConfig {
  readonly root: PinnedRoot;
  readonly log: LogVerifier;
  readonly state: string;
  readonly sockets: Readonly<Record<VaultSocket, SocketConfig>>;
  readonly keys?: TokenConfig;
}

/** CONFIG_INVALID lists everything that does not fit. */
export function loadConfig(file: string | undefined): VaultConfig {
  if (file === undefined) throw new CustodyError('USAGE', 'usage: vault <config.json>');
  const config = parseConfig(schema, readText(file), file);
  const root = parsePinnedRoot(readText(config.root), config.root, config.environment);
  return { ...config, root, log: parseVerifierKeys(config.log) };
}

function readText(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot read ${file}`, { details: { file }, cause });
  }
}
