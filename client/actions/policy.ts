import { CustodyError } from '../../domain/errors.js';
import { adviseOnChange } from '../../domain/policy-advice.js';
import { diffPolicies } from '../../domain/policy-diff.js';
import type { Policy } from '../../domain/policy.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { policyDigest, policyJsonSchema, policySigners, readSignedPolicy } from '../../formats/policy.js';
import { keysOfRole } from '../../formats/statements.js';
import { openReading } from '../connect.js';
import { replaceFile } from '../files.js';
import { readSigner } from '../keys.js';
import { leftBehind } from '../left-behind.js';
import { answer, counted, faint, good, heading, plain, talk } from '../output.js';
import { applyPolicy, findPolicy, lintPolicy, readEnvelope, signPolicyFile } from '../policies.js';
import type { ConnectedSession, Session } from '../session.js';

export async function lint(session: Session, file: string): Promise<void> {
  const linted = lintPolicy(file);
  const { version } = linted.policy;
  const digest = policyDigest(linted.policy);
  for (const warning of linted.warnings) talk(`warning: ${plain(warning)}`);
  answer(session, { version, digest, warnings: linted.warnings }, [good(`policy ${version} is valid: ${digest}`)]);
}

export async function sign(
  session: Session,
  file: string,
  { key: given, out }: { key: string; out: string },
): Promise<void> {
  const key = readSigner(session.layout.keyFile(given));
  const { policy: signed, envelope, warnings } = signPolicyFile(file, out, key);
  for (const warning of warnings) talk(`warning: ${plain(warning)}`);
  replaceFile(out, `${JSON.stringify(envelope)}\n`);
  const own = keysOfRole(signed, 'root').find((held) => held.key.keyId === key.keyId)?.owner ?? null;
  if (own === null)
    talk('warning: this key is no root key of this policy: it counts only if it is one of the policy before');
  const facts = {
    version: signed.version,
    digest: policyDigest(signed),
    out,
    signatures: envelope.signatures.length,
  };
  answer(session, { ...facts, signer: own }, [
    `policy ${facts.version}, digest ${facts.digest}`,
    `${facts.signatures} signatures in ${out}; ${signed.rootThreshold} are needed, of this policy's root and of the one before`,
  ]);
}

export async function apply(session: ConnectedSession, signed: string): Promise<void> {
  const envelope = readEnvelope(signed);
  const left = await leftBehind(session.custody, readSignedPolicy(envelope));
  for (const { model, version: of, why } of left)
    talk(plain(`warning: under this policy ${model} ${of} is loaded no more: ${why}`));
  if (left.length > 0)
    talk('warning: `custody resign` mends a lost release signature, all else needs a new approval or the next policy');
  const applied = await applyPolicy(session.custody, envelope);
  const { version, digest, signers, already } = applied;
  answer(session, { ...applied, leftBehind: left }, [
    good(`policy ${version} is in force${already ? ' already' : ''}: ${digest}`),
    `signed by ${signers.join(', ')}`,
  ]);
}

export async function diff(session: Session, before: string, after: string): Promise<void> {
  const [from, to] = [await findPolicy(session.layout, before), await findPolicy(session.layout, after)];
  const changes = diffPolicies(from, to);
  const warnings = adviseOnChange(from, to);
  for (const warning of warnings) talk(plain(`warning: ${warning}`));
  const lines = changes.map(({ path, before: was, after: is, weakens }) =>
    plain(`${weakens ? '! weaker ' : '         '}${path}: ${change(was, is)}`),
  );
  answer(session, { changes, warnings }, changes.length === 0 ? ['no difference'] : lines);
}

export async function schema(session: Session): Promise<void> {
  answer(session, policyJsonSchema(), [JSON.stringify(policyJsonSchema(), null, 2)]);
}

function change(was: string | null, is: string | null): string {
  if (was === null) return `gains ${is ?? ''}`;
  return is === null ? `loses ${was}` : `${was} → ${is}`;
}

export async function show(session: Session, given?: string): Promise<void> {
  const { chain, envelopes } = await openReading(session.layout).records.policies();
  const version = given === undefined ? chain.length : Number(given);
  const [policy, envelope] = [chain[version - 1], envelopes[version - 1]];
  if (policy === undefined || envelope === undefined)
    throw new CustodyError('INPUT_MISSING', `there is no policy ${given ?? ''}: the newest is ${chain.length}`);
  const facts = {
    version,
    newest: chain.length,
    digest: policyDigest(policy),
    statement: envelopeDigest(envelope),
    signers: policySigners(policy, envelope),
    expires: policy.expires,
  };
  answer(session, { ...facts, policy }, [
    heading(`policy ${version} of ${policy.environment}${version === chain.length ? ', in force' : ''}`),
    `digest     ${facts.digest}`,
    `signed by  ${plain(facts.signers.join(', '))}, ${policy.rootThreshold} needed`,
    `expires    ${policy.expires}`,
    ...authoritiesOf(policy),
    faint(`verified: ${chain.length} policies from the pinned root`),
  ]);
}

function authoritiesOf({ authorities }: Policy): string[] {
  return authorities.map(({ id, kind, roles, keys }) =>
    plain(`${id.padEnd(20)} ${kind.padEnd(8)} ${roles.join(', ')}  (${counted(keys.length, 'key')})`),
  );
}
