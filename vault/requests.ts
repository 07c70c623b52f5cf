import { z } from 'zod';
import type {
  HoldEvidence,
  LiftEvidence,
  RecoveryEvidence,
  ReleaseEvidence,
  TakingOverEvidence,
} from '../domain/evidence.js';
import { MAX_OPENED_FILES, type VaultSocket } from '../domain/vault.js';
import {
  approvalsSchema as approvals,
  envelopeSchema as envelope,
  policiesSchema as policies,
  provisionalSchema,
  retirementEvidenceSchema,
} from '../formats/evidence-schema.js';
import { digestSchema } from '../formats/in-toto.js';
import { checkShape } from '../formats/json.js';
import { claim, stored } from './create.js';
import { destroy, probe } from './destroy.js';
import { hold, holdings, lift } from './hold.js';
import { blobSchema, claimSchema, storedSchema } from './ledger-schema.js';
import { open } from './open.js';
import { recover } from './recover.js';
import { reopen } from './reopen.js';
import type { Vault } from './vault.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** One operation: how large its request may be, and what it answers. */
export interface Operation {
  readonly maxBytes: number;
  readonly answer: (body: unknown) => Promise<unknown>;
}
export type Operations = Readonly<Record<string, Operation>>;

const releaseEvidence: z.ZodType<ReleaseEvidence> = z.strictObject({
  policies,
  manifest: z.string(),
  bundle: z.string(),
  signature: z.string().nullable(),
  admission: envelope,
  provenance: envelope,
  testResult: envelope,
  scan: envelope,
  change: envelope,
  promotion: envelope.nullable(),
  request: envelope,
  approvals,
  provisional: provisionalSchema,
  status: envelope.nullable(),
});
const holdEvidence: z.ZodType<HoldEvidence> = z.strictObject({ policies, manifest: z.string(), hold: envelope });
const liftEvidence: z.ZodType<LiftEvidence> = z.strictObject({
  policies,
  manifest: z.string(),
  request: envelope,
  approvals,
});

const recovery: z.ZodType<RecoveryEvidence> = z.strictObject({
  policies,
  manifest: z.string(),
  question: envelope,
  proof: z.string(),
});

const takingOver: z.ZodType<TakingOverEvidence> = z.strictObject({
  base: releaseEvidence,
  manifest: z.string(),
  bundle: z.string(),
  admission: envelope,
  provenance: envelope,
});

const sha256s = z.array(digestSchema).min(1).max(MAX_OPENED_FILES);
const openSchema = z.strictObject({ sha256s, evidence: releaseEvidence });
const reopenSchema = z.strictObject({ sha256s, evidence: takingOver });
const recoverSchema = z.strictObject({ sha256s, evidence: recovery });
const holdSchema = z.strictObject({ evidence: holdEvidence });
const liftSchema = z.strictObject({ evidence: liftEvidence });
const holdingsSchema = z.strictObject({ release: digestSchema, sha256s });
const probeSchema = z.strictObject({ blob: blobSchema });
const destroySchema = z.strictObject({
  release: digestSchema,
  evidence: retirementEvidenceSchema,
  revocation: envelope,
});

/** What each socket serves, and nothing else. */
export function operationsOf(vault: Vault): Readonly<Record<VaultSocket, Operations>> {
  const operation = <T>(
    name: string,
    maxBytes: number,
    schema: z.ZodType<T>,
    act: (vault: Vault, request: T) => Promise<unknown>,
  ): Operation => ({ maxBytes, answer: (body) => act(vault, checkShape(schema, body, `the request to ${name}`)) });
  return {
    create: {
      claim: operation('claim', 16 * KIB, claimSchema, claim),
      stored: operation('stored', 16 * KIB, storedSchema, stored),
      // Two manifests, and the signatures of both.
      reopen: operation('reopen', 256 * MIB, reopenSchema, reopen),
    },
    // Manifests have up to 16 MiB, and a model signature has more than its manifest.
    open: { open: operation('open', 128 * MIB, openSchema, open) },
    recover: { recover: operation('recover', 64 * MIB, recoverSchema, recover) },
    destroy: {
      destroy: operation('destroy', 64 * MIB, destroySchema, destroy),
      probe: operation('probe', 16 * KIB, probeSchema, probe),
      holdings: operation('holdings', MIB, holdingsSchema, holdings),
      hold: operation('hold', 64 * MIB, holdSchema, hold),
      lift: operation('lift', 64 * MIB, liftSchema, lift),
    },
  };
}
