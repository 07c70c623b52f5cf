import type { PolicyChain, Records } from '../adapters/records.js';
import type { AuditRecord } from '../domain/audit.js';
import { CustodyError } from '../domain/errors.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { canonicalBytes } from '../formats/jcs.js';
import { policyDigest, policySigners, verifyPolicyChain } from '../formats/policy.js';
import { sha256 } from '../formats/sha256.js';
import type { Desk } from './control.js';
import type { AppliedPolicy, PolicyControl } from './contract.js';
import type { Audit } from './journal.js';

const NOTHING = { model: '', version: null, release: null } as const;

/** The way of a policy into force. It rests on nobody's word: the chain from the pinned root admits it, or does not. */
export function createPolicies({ records, journal, audit, gateways }: Desk): Pick<PolicyControl, 'applyPolicy'> {
  return {
    applyPolicy: (version, envelope) =>
      journal.refusing({ name: 'policy', envelope, subject: NOTHING }, async () => {
        const before = await records.policies();
        const given = parseEnvelope(envelope);
        const found = check(records, before, version, given);
        if (!found.already) {
          await journal.note({
            change: 'policy.accepted',
            key: envelopeDigest(given),
            actor: { id: found.signers.join(' and '), statement: envelopeDigest(given) },
            subject: NOTHING,
            before: before.newestDigest,
            after: found.digest,
            policy: before.newestDigest,
            reason: `policy ${version} follows policy ${before.newest.version}, signed by ${found.signers.join(' and ')}`,
          });
          await keep(records, version, given);
        }
        const after = await records.policies();
        await notePolicies(after, audit);
        // A gateway that cannot be reached now is brought up to date by control's loop.
        await Promise.allSettled(gateways.map((gateway) => gateway.deliverPolicies(after.envelopes)));
        return found;
      }),
  };
}

/** What the chain says of this envelope as policy `version`. It is verified before anything is said about what is there. */
function check(records: Records, chain: PolicyChain, version: number, given: SignedEnvelope): AppliedPolicy {
  const newest = chain.newest.version;
  const refuse = (code: 'POLICY_REFUSED' | 'VERSION_TAKEN' | 'POLICY_EXPIRED', problem: string): CustodyError =>
    new CustodyError(code, problem, { details: { version } });
  if (version > newest + 1)
    throw refuse('POLICY_REFUSED', `policy ${version} cannot follow policy ${newest}: versions go up by one`);
  const verified = verifyPolicyChain(records.root, [...chain.envelopes.slice(0, version - 1), given]);
  const policy = verified.at(-1);
  if (policy === undefined) throw new CustodyError('INTERNAL', 'a chain was verified that has no policy');
  const digest = policyDigest(policy);
  const signers = policySigners(policy, given);
  if (version <= newest) {
    const inForce = chain.chain[version - 1];
    if (inForce === undefined || policyDigest(inForce) !== digest)
      throw refuse('VERSION_TAKEN', `policy ${version} is another one: give this one the version ${newest + 1}`);
    if (version < newest)
      throw refuse('POLICY_REFUSED', `policy ${version} is older than policy ${newest}, which is in force`);
    return { version, digest, signers, already: true };
  }
  if (Date.parse(policy.expires) <= Date.now())
    throw refuse('POLICY_EXPIRED', `policy ${version} has expired at ${policy.expires} already`);
  return { version, digest, signers, already: false };
}

async function keep(records: Records, version: number, given: SignedEnvelope): Promise<void> {
  try {
    await records.bucket.createOnce(storeKeys.policy(version), canonicalBytes(given), await records.lock());
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
    throw new CustodyError('VERSION_TAKEN', `another policy ${version} was first`, { cause: error });
  }
}

/** Each policy in force is in the log, from the first on, whoever put it there; what is in it already counts once. */
export async function notePolicies({ chain, envelopes }: PolicyChain, audit: Audit): Promise<void> {
  await audit.append(
    chain.map((policy, at): AuditRecord => {
      const before = chain[at - 1];
      const envelope = envelopes[at];
      const digest = policyDigest(policy);
      return {
        id: sha256(`policy.applied ${digest}`),
        time: isoTime(Date.now()),
        actor: {
          id: envelope === undefined ? '' : policySigners(policy, envelope).join(' and '),
          statement: envelope === undefined ? null : envelopeDigest(envelope),
        },
        change: 'policy.applied',
        subject: NOTHING,
        before: before === undefined ? null : policyDigest(before),
        after: digest,
        policy: digest,
        workflow: null,
        reason: `policy ${policy.version}`,
      };
    }),
  );
}
