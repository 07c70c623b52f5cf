import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import type { Digest } from '../domain/digest.js';
import type { Policy } from '../domain/policy.js';
import { PREDICATES, type SignedEnvelope } from '../domain/statements.js';
import { decodeBase64 } from './base64.js';
import { parseStatement } from './in-toto.js';
import { canonicalBytes } from './jcs.js';
import { parseConfig } from './json.js';
import { enrolledKey } from './enrolled.js';
import type { EnvelopeSigner } from './keys.js';
import { policySchema } from './policy-schema.js';
import { sha256 } from './sha256.js';
import { keysOfRole, signStatement, verifyStatement, type KeyRing } from './statements.js';
import { readYaml, type Placed } from './yaml.js';

/** What a process trusts from its own configuration: the root keys of one environment's first policy. */
export interface PinnedRoot {
  readonly environment: string;
  /** Public keys, as PEM or as the line of an OpenSSH public key. */
  readonly rootKeys: readonly string[];
  readonly threshold: number;
}

const rootSchema = z.strictObject({
  environment: z.string(),
  rootKeys: z.array(z.string()).min(1),
  threshold: z.int().min(1),
});

/** Reads a pinned root's file. CONFIG_INVALID when it is none, or of another environment than this process serves. */
export function parsePinnedRoot(text: string | Uint8Array, file: string, environment: string): PinnedRoot {
  const root = readPinnedRoot(text, file);
  if (root.environment === environment) return root;
  throw new CustodyError('CONFIG_INVALID', `${file} is the root of the environment ${root.environment}`);
}

/** The same of whichever environment it is. */
export function readPinnedRoot(text: string | Uint8Array, file: string): PinnedRoot {
  return parseConfig<PinnedRoot>(rootSchema, text, file);
}

export function policyDigest(policy: Policy): Digest {
  return sha256(canonicalBytes(policy));
}

/** Reads the YAML that people write. CONFIG_INVALID names file, line, column and path of everything that does not fit. */
export function parsePolicyYaml(text: string, file: string): Placed<Policy> {
  return readYaml(policySchema, text, file);
}

export function signPolicy(policy: Policy, keys: readonly EnvelopeSigner[]): SignedEnvelope {
  return signStatement('policy', { name: `policy/${policy.version}`, sha256: policyDigest(policy) }, policy, keys);
}

/**
 * The policy inside an envelope, which nobody's signature vouches for yet: for people to look at, and for more of them to
 * sign. MALFORMED when it is no policy.
 */
export function readSignedPolicy(envelope: SignedEnvelope): Policy {
  const payload = decodeBase64(envelope.payload, 'the payload of the envelope');
  return parseStatement(payload, PREDICATES.policy, policySchema).predicate;
}

/** `docs/policy.schema.json`: what editors check a policy.yaml against. Rules between fields are `custody policy lint`'s. */
export function policyJsonSchema(): object {
  return { title: 'A policy of Custody', ...z.toJSONSchema(policySchema, { unrepresentable: 'any', io: 'input' }) };
}

/** The root people, by the policy's own keys, who have signed it. SIGNATURE_INVALID when none has. */
export function policySigners(policy: Policy, envelope: SignedEnvelope): readonly string[] {
  return verifyStatement(envelope, 'policy', keysOfRole(policy, 'root')).signers;
}

/**
 * Every policy of an environment, oldest first: each signed by a threshold of the root keys of the one before (for the
 * first, of the pinned root) and of its own, its version one higher. POLICY_REFUSED names the first that is not.
 */
export function verifyPolicyChain(root: PinnedRoot, envelopes: readonly SignedEnvelope[]): readonly Policy[] {
  const policies: Policy[] = [];
  let trusted: { readonly ring: KeyRing; readonly threshold: number } = {
    ring: pinnedRing(root),
    threshold: root.threshold,
  };
  for (const envelope of envelopes) {
    const expected = policies.length + 1;
    const refuse = (problem: string): CustodyError =>
      new CustodyError('POLICY_REFUSED', `policy ${expected}: ${problem}`, { details: { version: expected } });
    const before = verifyStatement(envelope, 'policy', trusted.ring);
    const policy = before.predicate;
    if (policy.version !== expected) throw refuse(`it says it is version ${policy.version}`);
    if (policy.environment !== root.environment) throw refuse(`it is for the environment ${policy.environment}`);
    if (before.subject !== policyDigest(policy)) throw refuse('its subject is not its own digest');
    if (before.signers.length < trusted.threshold)
      throw refuse(`${before.signers.length} root signatures of the rules before, ${trusted.threshold} are needed`);
    const own = { ring: keysOfRole(policy, 'root'), threshold: policy.rootThreshold };
    const after = verifyStatement(envelope, 'policy', own.ring);
    if (after.signers.length < own.threshold)
      throw refuse(`${after.signers.length} root signatures of its own, ${own.threshold} are needed`);
    policies.push(policy);
    trusted = own;
  }
  return policies;
}

/** The keys that a process trusts from the start. */
export function pinnedRing(root: PinnedRoot): KeyRing {
  return root.rootKeys.map((text) => {
    const key = enrolledKey(text.trim().startsWith('-----') ? { pem: text } : { ssh: text });
    return { key, owner: `pinned:${key.keyId}`, validFrom: null, validUntil: null };
  });
}
