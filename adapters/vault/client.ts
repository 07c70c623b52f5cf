import { z } from 'zod';
import { CustodyError } from '../../domain/errors.js';
import {
  MAX_OPENED_FILES,
  VAULT_OPERATIONS,
  type BlobRef,
  type ClaimAnswer,
  type ClaimRequest,
  type DestroyAnswer,
  type DestroyRequest,
  type HoldAnswer,
  type HoldingsAnswer,
  type HoldingsRequest,
  type HoldRequest,
  type LiftRequest,
  type OpenedFile,
  type OpenRequest,
  type ProbeAnswer,
  type RecoverRequest,
  type ReopenRequest,
  type StoredRequest,
  type VaultSocket,
} from '../../domain/vault.js';
import { decodeBase64 } from '../../formats/base64.js';
import { digestSchema } from '../../formats/in-toto.js';
import { checkShape } from '../../formats/json.js';
import { exchange } from '../exchange.js';

/** Paths of the sockets that this zone may use. */
export type VaultSockets = Partial<Readonly<Record<VaultSocket, string>>>;

/** The key vault. Refusals keep their code; VAULT_UNAVAILABLE: it does not answer. Wipe a key (`fill(0)`) after its use. */
export interface VaultClient {
  claim(request: ClaimRequest): Promise<ClaimAnswer<Buffer>>;
  stored(request: StoredRequest): Promise<BlobRef>;
  /** Makes a release a holder of what it takes over; keys in the order of `sha256s`. STATUS_STALE: gather the evidence again. */
  reopen(request: ReopenRequest): Promise<readonly OpenedFile<Buffer>[]>;
  /** Keys in the order of `sha256s`. STATUS_STALE: gather the evidence again. */
  open(request: OpenRequest): Promise<readonly OpenedFile<Buffer>[]>;
  /** The same for an auditor. */
  recover(request: RecoverRequest): Promise<readonly OpenedFile<Buffer>[]>;
  destroy(request: DestroyRequest): Promise<DestroyAnswer>;
  /** Where the ciphertext of these files of a release lies. */
  holdings(request: HoldingsRequest): Promise<HoldingsAnswer['blobs']>;
  /** ERASED: its keys have been destroyed. */
  hold(request: HoldRequest): Promise<HoldAnswer>;
  lift(request: LiftRequest): Promise<HoldAnswer>;
  /** Whether the key of this blob still answers. */
  probe(blob: string): Promise<ProbeAnswer>;
}

const key = z.string().transform((text) => decodeBase64(text, 'the key that the vault answered'));
const blobRef = z.strictObject({
  blob: z.string(),
  versionId: z.string(),
  ciphertext: digestSchema,
  ciphertextSize: z.int(),
});
const claimAnswer = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('new'), blob: z.string(), key }),
  blobRef.extend({ state: z.literal('stored') }),
]);
const openAnswer = z.strictObject({ files: z.array(blobRef.extend({ sha256: digestSchema, key })) });
const destroyAnswer: z.ZodType<DestroyAnswer> = z.strictObject({
  destroyed: z.array(z.strictObject({ path: z.string(), sha256: digestSchema, blob: z.string() })),
  kept: z.array(z.strictObject({ path: z.string(), sha256: digestSchema, holders: z.array(digestSchema) })),
  remains: z.array(z.strictObject({ blob: z.string(), versionId: z.string(), size: z.int() })),
  destroyedAt: z.string(),
});
const holdingsAnswer = z.strictObject({ blobs: z.array(z.strictObject({ blob: z.string(), versionId: z.string() })) });
const holdAnswer = z.strictObject({ release: digestSchema, open: z.array(digestSchema) });
const probeAnswer = z.strictObject({ refused: z.boolean(), answer: z.string() });

/** Each operation goes to its own socket; without that socket it is NOT_AUTHORISED. */
export function createVaultClient(sockets: VaultSockets): VaultClient {
  async function ask<T>(at: VaultSocket, operation: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    const socket = sockets[at];
    if (socket === undefined)
      throw new CustodyError(
        'NOT_AUTHORISED',
        `this process has no ${at} socket, which alone serves ${VAULT_OPERATIONS[at].join(' and ')}`,
      );
    const answer = await exchange({ socket }, 'POST', `/${operation}`, body, 'VAULT_UNAVAILABLE');
    return checkShape(schema, answer, `the vault's answer to ${operation}`);
  }
  async function keys(
    at: VaultSocket,
    operation: string,
    { sha256s, evidence }: ReopenRequest | OpenRequest | RecoverRequest,
  ): Promise<readonly OpenedFile<Buffer>[]> {
    const opened: OpenedFile<Buffer>[] = [];
    for (let from = 0; from < sha256s.length; from += MAX_OPENED_FILES) {
      const some = sha256s.slice(from, from + MAX_OPENED_FILES);
      opened.push(...(await ask(at, operation, { sha256s: some, evidence }, openAnswer)).files);
    }
    return opened;
  }
  return {
    claim: (request) => ask('create', 'claim', request, claimAnswer),
    stored: (request) => ask('create', 'stored', request, blobRef),
    reopen: (request) => keys('create', 'reopen', request),
    open: (request) => keys('open', 'open', request),
    recover: (request) => keys('recover', 'recover', request),
    destroy: (request) => ask('destroy', 'destroy', request, destroyAnswer),
    holdings: async ({ release, sha256s }) => {
      const found: HoldingsAnswer['blobs'][number][] = [];
      for (let from = 0; from < sha256s.length; from += MAX_OPENED_FILES) {
        const some = { release, sha256s: sha256s.slice(from, from + MAX_OPENED_FILES) };
        found.push(...(await ask('destroy', 'holdings', some, holdingsAnswer)).blobs);
      }
      return found;
    },
    hold: (request) => ask('destroy', 'hold', request, holdAnswer),
    lift: (request) => ask('destroy', 'lift', request, holdAnswer),
    probe: (blob) => ask('destroy', 'probe', { blob }, probeAnswer),
  };
}
