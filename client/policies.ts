import { existsSync, readFileSync } from 'node:fs';
import { CustodyError } from '../domain/errors.js';
import { adviseOn, type Advice } from '../domain/policy-advice.js';
import type { Policy } from '../domain/policy.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { addSignature, parseEnvelope } from '../formats/dsse.js';
import type { EnvelopeSigner } from '../formats/keys.js';
import { parsePolicyYaml, policyDigest, readSignedPolicy, signPolicy } from '../formats/policy.js';
import { problemAt } from '../formats/yaml.js';
import type { PolicyOutcome } from '../workflows/policy.js';
import { startPolicy } from '../workflows/messages.js';
import { openReading, type Custody } from './connect.js';
import { runToEnd } from './messages.js';
import type { Layout } from './stack/layout.js';

type Applied = Extract<PolicyOutcome, { kind: 'applied' }>;

export interface LintedPolicy {
  readonly policy: Policy;
  /** `file:line:column path: warning`. */
  readonly warnings: readonly string[];
}

/** Reads policy.yaml. CONFIG_INVALID lists everything that is wrong with it, what could never work included. */
export function lintPolicy(file: string): LintedPolicy {
  const { value: policy, place } = parsePolicyYaml(readText(file), file);
  const told = (severity: Advice['severity']): string[] =>
    adviseOn(policy, isoTime(Date.now()))
      .filter((advice) => advice.severity === severity)
      .map(({ path, message }) => problemAt(place(path), path, message));
  const problems = told('error');
  if (problems.length > 0) throw new CustodyError('CONFIG_INVALID', problems.join('\n'), { details: { problems } });
  return { policy, warnings: told('warning') };
}

export interface SignedPolicy {
  readonly policy: Policy;
  readonly envelope: SignedEnvelope;
  readonly warnings: readonly string[];
}

/**
 * The policy with a signature by `key` beside those in `out`, where there are any. POLICY_REFUSED when those are over other
 * bytes: two people who sign in turn sign the same.
 */
export function signPolicyFile(file: string, out: string, key: EnvelopeSigner): SignedPolicy {
  const { policy, warnings } = isSigned(file)
    ? { policy: readSignedPolicy(readEnvelope(file)), warnings: [] }
    : lintPolicy(file);
  const before = existsSync(out) ? readEnvelope(out) : isSigned(file) ? readEnvelope(file) : null;
  if (before === null) return { policy, envelope: signPolicy(policy, [key]), warnings };
  const signed = readSignedPolicy(before);
  if (policyDigest(signed) !== policyDigest(policy))
    throw new CustodyError(
      'POLICY_REFUSED',
      `${out} holds signatures over another policy (version ${signed.version}, digest ${policyDigest(signed)}): ` +
        'sign that one, or write to another file with --out',
    );
  return { policy, envelope: addSignature(before, key), warnings };
}

/** A policy by its version in force, or by a file: YAML or signed. */
export async function findPolicy(layout: Layout, given: string): Promise<Policy> {
  if (/^[1-9]\d{0,8}$/.test(given) && !existsSync(given)) {
    const { chain } = await openReading(layout).records.policies();
    const policy = chain[Number(given) - 1];
    if (policy === undefined)
      throw new CustodyError('INPUT_MISSING', `there is no policy ${given}: the newest is ${chain.length}`);
    return policy;
  }
  return isSigned(given) ? readSignedPolicy(readEnvelope(given)) : parsePolicyYaml(readText(given), given).value;
}

/** Starts the workflow that puts a policy into force, and waits for what it says. PENDING: no worker answered in time. */
export async function applyPolicy(custody: Custody, envelope: SignedEnvelope): Promise<Applied> {
  const policy = readSignedPolicy(envelope);
  const outcome = await runToEnd<Applied>(custody, 'policy', startPolicy(policy.version), envelope);
  if (outcome.digest !== policyDigest(policy))
    throw new CustodyError('VERSION_TAKEN', `another policy ${policy.version} was being applied: it is in force`);
  return outcome;
}

export function readEnvelope(file: string): SignedEnvelope {
  return parseEnvelope(readText(file));
}

function isSigned(file: string): boolean {
  return file.endsWith('.json');
}

function readText(file: string): string {
  if (!existsSync(file)) throw new CustodyError('INPUT_MISSING', `there is no file ${file}`);
  return readFileSync(file, 'utf8');
}
