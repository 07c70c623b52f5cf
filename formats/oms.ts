import { z } from 'zod';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { signatureSchema, signEnvelope, verifyEnvelope } from './dsse.js';
import { digestSchema, makeStatement, parseStatement, PAYLOAD_TYPE } from './in-toto.js';
import type { Statement } from './in-toto.js';
import { canonicalBytes } from './jcs.js';
import { checkShape, parseJson, quote } from './json.js';
import type { SignatureVerifier, SigningKey } from './keys.js';
import { sha256 } from './sha256.js';

/** One file of a model: its path from the model's root, `/` between the parts, and the SHA-256 of its bytes. */
export interface OmsResource {
  readonly name: string;
  readonly sha256: Digest;
}

/** The predicate of OpenSSF Model Signing 1.0, section 5.2, with whole files hashed by SHA-256. */
export interface OmsPredicate {
  readonly serialization: {
    readonly method: 'files';
    readonly hash_type: 'sha256';
    readonly allow_symlinks: false;
  };
  readonly resources: readonly { readonly name: string; readonly algorithm: 'sha256'; readonly digest: Digest }[];
}

export const OMS_PREDICATE_TYPE = 'https://model_signing/signature/v1.0';
/** Room for some 100 000 files. */
export const MAX_OMS_BYTES = 64 * 1024 * 1024;
const BUNDLE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const LISTED_FILES = 20;

/** A Sigstore bundle in key mode (sections 4.1 and 11). Log entries and timestamps are refused: nobody here checks them. */
const bundleSchema = z.strictObject({
  mediaType: z.literal(BUNDLE_MEDIA_TYPE),
  verificationMaterial: z.strictObject({
    publicKey: z.strictObject({
      hint: z.string().nullish(),
      rawBytes: z.string().optional(),
      keyDetails: z.union([z.string(), z.number()]).optional(),
    }),
    tlogEntries: z.array(z.never()).nullish(),
  }),
  dsseEnvelope: z.strictObject({
    payloadType: z.literal(PAYLOAD_TYPE),
    payload: z.string().min(1),
    signatures: z.array(signatureSchema).length(1),
  }),
});

/** Unknown fields of a resource are passed over (section 5.2.1); in `serialization` they could change its meaning. */
const predicateSchema = z.object({
  serialization: z.strictObject({
    method: z.string(),
    hash_type: z.string(),
    allow_symlinks: z.boolean(),
    shard_size: z.number().optional(),
    ignore_paths: z.array(z.string()).optional(),
  }),
  resources: z.array(z.object({ name: z.string().min(1), algorithm: z.string(), digest: digestSchema })).min(1),
});
type SignedPredicate = z.infer<typeof predicateSchema>;

/**
 * The statement that signs a model: its files by Unicode code point of their names (section 5.2.1), its subject the root
 * digest (section 6.5.1). `name` is informative. INPUT_EMPTY: no files; INPUT_UNSAFE: a name that is no relative path, or
 * stands twice.
 */
export function makeOmsStatement(name: string, resources: readonly OmsResource[]): Statement<OmsPredicate> {
  if (resources.length === 0) throw new CustodyError('INPUT_EMPTY', 'a model without files cannot be signed');
  const named = new Map<string, OmsResource & { order: Buffer }>();
  for (const resource of resources) {
    assertRelativePath(resource.name);
    if (named.has(resource.name)) throw unsafe(resource.name, 'it stands twice in the model');
    // The order of UTF-8 bytes is the order of code points; JavaScript's own is that of UTF-16 units.
    named.set(resource.name, { ...resource, order: Buffer.from(resource.name) });
  }
  const sorted = [...named.values()].sort((a, b) => Buffer.compare(a.order, b.order));
  return makeStatement(
    OMS_PREDICATE_TYPE,
    [{ name, digest: { sha256: rootDigest(sorted.map((resource) => resource.sha256)) } }],
    {
      serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false },
      resources: sorted.map(({ name, sha256: digest }) => ({ name, algorithm: 'sha256', digest })),
    },
  );
}

/**
 * Signs a model: a Sigstore bundle v0.3 in key mode, as UTF-8 JSON, to be kept outside the model. CONFIG_INVALID unless
 * the key is ECDSA: the format has no Ed25519 in key mode.
 */
export function signOms(name: string, resources: readonly OmsResource[], key: SigningKey): Buffer {
  if (key.algorithm === 'ed25519') {
    throw new CustodyError('CONFIG_INVALID', 'a model is signed with ECDSA P-256 or P-384: this key is Ed25519');
  }
  const payload = canonicalBytes(makeOmsStatement(name, resources));
  const envelope = signEnvelope(PAYLOAD_TYPE, payload, [key]);
  return canonicalBytes({
    mediaType: BUNDLE_MEDIA_TYPE,
    // The reference implementation finds the key by the SHA-256 of its PEM text, and leaves keyid empty.
    verificationMaterial: { publicKey: { hint: sha256(key.pem) }, tlogEntries: [] },
    dsseEnvelope: { ...envelope, signatures: envelope.signatures.map(({ sig }) => ({ sig, keyid: '' })) },
  });
}

/**
 * Verifies that a trusted key has signed exactly these files: `resources` must be every file there is, none left out.
 * Answers the key. SIGNATURE_INVALID: no trusted ECDSA key has signed. MALFORMED: not such a bundle. POLICY_REFUSED:
 * signed over links, shards or another hash. DIGEST_MISMATCH: a file was added, removed, renamed or changed, or stands
 * twice; the message names it. Paths that the signer asks to ignore hide nothing: such a file counts as added.
 */
export function verifyOms(
  bundleBytes: Uint8Array,
  keys: readonly SignatureVerifier[],
  resources: readonly OmsResource[],
): { keyId: Digest } {
  const { keyId, demandFiles } = readOms(bundleBytes, keys);
  demandFiles(resources);
  return { keyId };
}

/** The first half of `verifyOms`, for what can be done while the files are hashed; `demandFiles` is the other. */
export function readOms(
  bundleBytes: Uint8Array,
  keys: readonly SignatureVerifier[],
): { keyId: Digest; demandFiles: (resources: readonly OmsResource[]) => void } {
  const json = parseJson(bundleBytes, 'the model signature', { maxBytes: MAX_OMS_BYTES });
  const { dsseEnvelope } = checkShape(bundleSchema, json, 'the model signature');
  const ecdsa = keys.filter(({ algorithm }) => algorithm === 'ecdsa-p256' || algorithm === 'ecdsa-p384');
  const { payload, keyIds } = verifyEnvelope(dsseEnvelope, ecdsa);
  const statement = parseStatement(payload, OMS_PREDICATE_TYPE, predicateSchema, { maxBytes: MAX_OMS_BYTES });
  assertWholeFiles(statement.predicate);
  assertRootDigest(statement);
  const [keyId] = keyIds;
  if (keyId === undefined) throw new CustodyError('INTERNAL', 'an envelope was verified without a key');
  return { keyId, demandFiles: (resources) => assertSameFiles(statement.predicate, resources) };
}

function rootDigest(digests: readonly Digest[]): Digest {
  return sha256(Buffer.from(digests.join(''), 'hex'));
}

function assertWholeFiles({ serialization, resources }: SignedPredicate): void {
  const { method, hash_type, allow_symlinks, shard_size, ignore_paths = [] } = serialization;
  if (allow_symlinks) {
    throw refused('it was signed with allow_symlinks, and what a link leads to can change: sign it again without');
  }
  if (method !== 'files' || shard_size !== undefined || hash_type !== 'sha256') {
    throw refused(`it was signed as ${quote(`${method}/${hash_type}`)}: sign it again with whole files and SHA-256`);
  }
  const other = resources.find((resource) => resource.algorithm !== 'sha256');
  if (other !== undefined) throw refused(`${quote(other.name)} was hashed with ${quote(other.algorithm)}, not SHA-256`);
  const wild = ignore_paths.find((path) => /[*?[]|^\/|(^|\/)\.\.(\/|$)/.test(path));
  if (wild !== undefined) throw refused(`it asks to ignore ${quote(wild)}, which is no plain path inside the model`);
}

/** Over the order in which the files are listed: the reference implementation sorts by path parts, not by code point. */
function assertRootDigest({ subject, predicate }: Statement<SignedPredicate>): void {
  const [model, ...more] = subject;
  if (model === undefined || more.length > 0) {
    throw new CustodyError('MALFORMED', `the model signature has ${subject.length} subjects, expected one`);
  }
  const found = rootDigest(predicate.resources.map((resource) => resource.digest));
  const expected = model.digest.sha256;
  if (found !== expected) {
    throw new CustodyError(
      'DIGEST_MISMATCH',
      `the model signature contradicts itself: root digest ${expected}, but its files hash to ${found}`,
      { details: { expected, found } },
    );
  }
}

function assertSameFiles({ resources }: SignedPredicate, present: readonly OmsResource[]): void {
  const signed = byName(resources.map(({ name, digest }) => ({ name, sha256: digest })));
  const actual = byName(present);
  const added = [...actual.files.keys()].filter((name) => !signed.files.has(name));
  const missing = [...signed.files.keys()].filter((name) => !actual.files.has(name));
  const changed = [...signed.files].flatMap(([name, digest]) => {
    const found = actual.files.get(name);
    return found === undefined || found === digest ? [] : [name];
  });
  const differences = { added, missing, changed, duplicate: [...signed.twice, ...actual.twice] };
  const problems = Object.entries(differences).filter(([, names]) => names.length > 0);
  if (problems.length === 0) return;
  const told = problems.map(
    ([how, names]) => `${how}: ${names.slice(0, LISTED_FILES).map(quote).join(', ')}${rest(names)}`,
  );
  const details = problems.map(([how, names]) => [how, names.slice(0, LISTED_FILES)] as const);
  throw new CustodyError('DIGEST_MISMATCH', `the files are not the ones that were signed; ${told.join('; ')}`, {
    details: Object.fromEntries(details),
  });
}

function byName(resources: readonly OmsResource[]): { files: Map<string, Digest>; twice: string[] } {
  const files = new Map<string, Digest>();
  const twice: string[] = [];
  for (const { name, sha256: digest } of resources) {
    if (files.has(name)) twice.push(name);
    files.set(name, digest);
  }
  return { files, twice };
}

function rest(names: readonly string[]): string {
  return names.length > LISTED_FILES ? ` and ${names.length - LISTED_FILES} more` : '';
}

/** Section 6.1.2. */
function assertRelativePath(name: string): void {
  if (/\p{Surrogate}/u.test(name) || name.includes('\0')) throw unsafe(name, 'it is no file name in UTF-8');
  if (name.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw unsafe(name, 'expected a plain path relative to the root of the model, such as "weights/a.safetensors"');
  }
}

function unsafe(name: string, problem: string): CustodyError {
  return new CustodyError('INPUT_UNSAFE', `cannot sign the file ${quote(name)}: ${problem}`);
}

function refused(problem: string): CustodyError {
  return new CustodyError('POLICY_REFUSED', `this model signature is not accepted: ${problem}`);
}
