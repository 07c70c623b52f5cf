import { createInterface } from 'node:readline/promises';
import { CustodyError } from '../../domain/errors.js';
import { parseLifecycleId } from '../../domain/names.js';
import { sayPrompts } from '../../domain/prompts.js';
import { promptsOf } from '../prompts.js';
import type { Digest } from '../../domain/digest.js';
import type { ReleaseName } from '../../domain/names.js';
import type { Records } from '../../adapters/records.js';
import type { RequestPredicate, Verified } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import type { Reading } from '../connect.js';
import type { WaitingGate } from '../messages.js';
import { heading, plain } from '../output.js';

/** A request as it lies in the store, before anybody signs what they think of it. */
export function describe({ predicate, digest }: Verified<RequestPredicate>): string[] {
  const { action, model, version, release, requester, producer, expiresAt } = predicate;
  return [
    heading(`${action.kind} ${model} ${version ?? ''}`),
    `request         ${digest}`,
    `release digest  ${release ?? '-'}`,
    `asked for by    ${plain(requester)}`,
    `produced by     ${plain(producer ?? '-')}`,
    `until           ${expiresAt}`,
    ...Object.entries(action).map(([name, value]) => `${name.padEnd(15)} ${plain(JSON.stringify(value))}`),
    ...Object.entries(predicate.evidence).map(([name, value]) => `evidence        ${plain(name)} ${value}`),
  ];
}

export async function confirm(decision: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CustodyError('USAGE', 'nobody is there to confirm: look at the request, then run this again with --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const said = await terminal.question(`${decision} this? [y/N] `);
    if (said.trim().toLowerCase() !== 'y') throw new CustodyError('INTERRUPTED', 'nothing was signed');
  } finally {
    terminal.close();
  }
}

/** The command with which people decide at a gate. */
export function howTo({ workflowId, gate }: Pick<WaitingGate, 'workflowId' | 'gate'>): string {
  const name = gate.role === 'override-authority' ? parseLifecycleId(workflowId) : null;
  if (name === null) return `custody approve ${gate.requestId}`;
  return `custody override ${name.model}@${name.version} --lift <criteria> --justification <why>`;
}

/** What whoever approves should have read: the overrides, whence the prompts are, and the risk assessment, as they lie in the store. */
export async function groundsOf(
  { records }: Reading,
  { digest, predicate: asked }: Verified<RequestPredicate>,
): Promise<readonly string[]> {
  const { evidence, release, model, version } = asked;
  const lines: string[] = [];
  const { override: request, riskAssessment, scan } = evidence;
  const overrides = Object.entries(evidence).filter(([name]) => name.startsWith('override/'));
  for (const [, statement] of request === undefined ? [] : overrides) {
    const found = await records.find('override', storeKeys.override(request ?? '', statement));
    if (found === null) throw new CustodyError('DIGEST_MISMATCH', `the store has no override ${statement}`);
    const { lifts, holdsUntil, justification } = found.verified.predicate;
    lines.push(`overridden by   ${found.verified.signers.join(', ')}: ${plain(lifts.join(', '))} until ${holdsUntil}`);
    lines.push(`because         ${plain(justification)}`);
  }
  if (asked.action.kind === 'retire' && version !== null)
    lines.push(...(await dependentsLines(records, { model, version }, digest)));
  const prompts = scan === undefined || release === null ? undefined : await promptsOf(records, release, scan);
  if (prompts !== undefined && prompts.files > 0) lines.push(`prompts         ${plain(sayPrompts(prompts))}`);
  if (riskAssessment === undefined) return lines;
  const { predicate, signers } = (await records.get('riskAssessment', riskAssessment)).verified;
  lines.push(`risk assessment by ${signers.join(', ')}`);
  for (const [name, said] of Object.entries(predicate.assessment))
    lines.push(...[said].flat().map((text: string) => `${name.padEnd(15)} ${plain(text)}`));
  return lines;
}

/** Who and what depends on a release, as control has found it when its retirement was asked for. */
export async function dependentsLines(
  records: Records,
  name: ReleaseName,
  request: Digest,
): Promise<readonly string[]> {
  const found = await records.find('dependents', storeKeys.dependents(name, request));
  if (found === null) return [];
  const { consumers, releases, endpoints, weight, isDrilled } = found.verified.predicate;
  return [
    `callers         ${weight === null ? 'it is in no route' : weight === 0 ? 'none: it is kept warm' : `${weight} % of them`}`,
    ...consumers.map(({ id, owner, criticality }) =>
      plain(`depends on it   ${id}${owner === null ? ', seen calling' : `, ${criticality ?? ''}, of ${owner}`}`),
    ),
    ...releases.map(({ model, version, how, serves }) =>
      plain(`depends on it   ${model} ${version} ${how}${serves ? ', and serves' : ''}`),
    ),
    ...endpoints.map((model) => plain(`depends on it   the endpoint of ${model} calls it`)),
    ...(isDrilled ? ['depends on it   drills run on its endpoint'] : []),
  ];
}
