import { setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { shortDigest, type Digest } from '../domain/digest.js';
import { inert } from '../domain/markdown.js';
import type { ReleaseName } from '../domain/names.js';
import type { Counting } from './gate.js';
import { SEARCH_ATTRIBUTES } from './messages.js';

export interface Shown {
  readonly model: ReleaseName['model'] | null;
  readonly version: ReleaseName['version'] | null;
  readonly title: string;
  readonly stage: string;
  readonly digest: Digest | null;
  readonly facts: readonly (readonly [string, string])[];
  readonly counting: Counting | null;
  readonly trouble: readonly string[];
}

/** What people see in the Temporal UI: the stage, who is awaited and until when, and the exact command to run. */
export function show({ model, version, title, stage, digest, facts, counting, trouble }: Shown): void {
  const lines = [`### ${inert(title)}`, '', `**Stage:** ${inert(stage)}`];
  if (digest !== null) lines.push('', `**Release digest:** ${digest}`);
  for (const [name, value] of facts) lines.push('', `**${inert(name)}:** ${inert(value)}`);
  for (const why of trouble) lines.push('', `**Trouble:** ${inert(why)}`);
  if (counting !== null) lines.push(...howToDecide(counting));
  setCurrentDetails(lines.join('\n'));

  const { model: modelKey, version: versionKey, stage: stageKey, digest: digestKey, awaiting } = SEARCH_ATTRIBUTES;
  const now = workflowInfo().typedSearchAttributes;
  // Each upsert is an event in the history, so only what has changed is set.
  const changed = [
    { key: modelKey, value: model },
    { key: versionKey, value: version },
    { key: stageKey, value: stage },
    { key: digestKey, value: digest === null ? null : shortDigest(digest) },
    { key: awaiting, value: counting === null ? null : counting.gate.role },
  ].filter(({ key, value }) => (now.get(key) ?? null) !== value);
  if (changed.length > 0) upsertSearchAttributes(changed);
}

function howToDecide({ act, gate, missing }: Counting): string[] {
  const { workflowId } = workflowInfo();
  const isOverride = act === 'override';
  const message = `--workflow-id ${workflowId} --name ${isOverride ? 'override' : 'approve'} --input-file decision.json`;
  const [, model = '', version = ''] = workflowId.split('/');
  const command = isOverride
    ? `override ${model}@${version} --justification <why>`
    : `approve ${inert(gate.requestId)}`;
  return [
    '',
    `**Awaiting:** ${missing} more with the role ${inert(gate.role)}, to ${act}, until ${inert(gate.expiresAt)}`,
    '',
    `    custody ${command} --key <your key>`,
    '',
    'Or, with the signed decision in decision.json (the second works while no worker is up):',
    '',
    `    temporal workflow update execute ${message} --command-timeout 30s`,
    `    temporal workflow signal ${message}`,
  ];
}
