import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { shortDigest, type Digest } from '../domain/digest.js';
import { inert } from '../domain/markdown.js';
import type { OpenGate } from '../domain/lifecycle.js';
import { SEARCH_ATTRIBUTES } from './messages.js';

interface Shown {
  readonly title: string;
  readonly stage: string;
  readonly digest: Digest | null;
  readonly facts: readonly (readonly [string, string])[];
  readonly gate: { readonly open: OpenGate; readonly missing: number } | null;
}

/** What people see in the Temporal UI: the stage, who is awaited and until when, and the exact command to run. */
export function show({ title, stage, digest, facts, gate }: Shown): void {
  const lines = [`### ${inert(title)}`, '', `**Stage:** ${inert(stage)}`];
  if (digest !== null) lines.push('', `**Release digest:** ${digest}`);
  for (const [name, value] of facts) lines.push('', `**${inert(name)}:** ${inert(value)}`);
  if (gate !== null) {
    const { open, missing } = gate;
    lines.push(
      '',
      `**Awaiting:** ${missing} more with the role ${inert(open.role)}, until ${open.expiresAt}`,
      '',
      `    custody approve ${open.requestId} --key <your key>`,
    );
  }
  setCurrentDetails(lines.join('\n'));
  upsertSearchAttributes([
    { key: SEARCH_ATTRIBUTES.stage, value: stage },
    { key: SEARCH_ATTRIBUTES.digest, value: digest === null ? null : shortDigest(digest) },
    { key: SEARCH_ATTRIBUTES.awaiting, value: gate === null ? null : gate.open.role },
  ]);
}
