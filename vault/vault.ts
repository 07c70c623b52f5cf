import type { LogVerifier } from '../formats/signed-note.js';
import type { PinnedRoot } from '../formats/policy.js';
import type { VaultConfig } from './config.js';
import { finishDestructions } from './destroy.js';
import { ensureFolder } from './files.js';
import { openFileKeys } from './key-files.js';
import { openTokenKeys } from './key-token.js';
import type { KeyStore } from './keys.js';
import { Ledger } from './ledger.js';
import { NamedLocks } from './locks.js';
import { Seen } from './seen.js';
import { becomeSole } from './sole.js';

/** What every operation works with. `locks` are named by plaintext digest. */
export interface Vault {
  readonly root: PinnedRoot;
  /** Who signs the audit log's checkpoints. */
  readonly log: LogVerifier;
  readonly ledger: Ledger;
  readonly seen: Seen;
  readonly locks: NamedLocks;
}

type Opening = Pick<VaultConfig, 'state' | 'root' | 'log' | 'keys'>;

/** Opens the vault's folder for this process alone, and carries out what an earlier process had decided. */
export async function openVault(config: Opening, openKeys = openKeyStore): Promise<Vault> {
  const { state, root, log } = config;
  await ensureFolder(state);
  await becomeSole(state);
  const [ledger, seen] = [await Ledger.open(state, await openKeys(config)), await Seen.open(state)];
  const vault = { root, log, ledger, seen, locks: new NamedLocks() };
  await finishDestructions(vault);
  return vault;
}

/** CONFIG_INVALID when the folder's keys are kept in another way than is configured. */
function openKeyStore({ state, keys }: Opening): Promise<KeyStore> {
  return keys === undefined ? openFileKeys(state) : openTokenKeys(state, keys);
}
