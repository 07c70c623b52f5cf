import { readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { describe, expect, it } from 'vitest';
import { IDENTITY, readHistory, workflowBundle } from '../support/temporal.js';

// To capture them anew after a change that is meant to break running workflows: CUSTODY_CAPTURE=1, then the workflow tests.
const HISTORIES = [
  'alert-rejected.json',
  'consumer-declared.json',
  'consumer-rejected.json',
  'data-refused.json',
  'data-registered.json',
  'drill-failed.json',
  'drill-postponed.json',
  'drill-within.json',
  'endpoint-alerted.json',
  'endpoint-continued.json',
  'endpoint-killed.json',
  'endpoint-paused-continued.json',
  'endpoint-paused-rejected.json',
  'endpoint-paused-taken-over.json',
  'endpoint-paused.json',
  'endpoint-promoted.json',
  'endpoint-restored.json',
  'endpoint-rolled-back.json',
  'endpoint-service-breached.json',
  'endpoint-taken-over.json',
  'endpoint-watched-for-days.json',
  'hold-held.json',
  'hold-refused.json',
  'lifecycle-condemned.json',
  'lifecycle-continued.json',
  'lifecycle-emergency-unreviewed.json',
  'lifecycle-expired.json',
  'lifecycle-noticed.json',
  'lifecycle-override-ended.json',
  'lifecycle-override-missed.json',
  'lifecycle-rejected.json',
  'lifecycle-retired.json',
  'lifecycle-taken-over.json',
  'lift-continued.json',
  'lift-expired.json',
  'lift-lifted.json',
  'lift-refused.json',
  'lift-rejected.json',
  'policy-applied.json',
  'policy-rejected.json',
  'promote-promoted.json',
  'promote-refused.json',
  'resign-refused.json',
  'resign-resigned.json',
  'retention-kept.json',
  'training-continued.json',
  'training-expired.json',
  'training-refused.json',
  'training-rejected.json',
  'training-taken-over.json',
  'training-trained.json',
  'training-unasked.json',
];

async function replayed(entry?: string, traced = false): Promise<{ name: string; error: Error | undefined }[]> {
  const histories = HISTORIES.map(readHistory);
  const results: { name: string; error: Error | undefined }[] = [];
  const bundle = await workflowBundle(entry, traced);
  for await (const { error } of Worker.runReplayHistories({ workflowBundle: bundle }, histories))
    results.push({ name: HISTORIES[results.length] ?? '', error });
  return results;
}

describe('the committed histories', () => {
  it('are these, and none is forgotten', () => {
    expect(readdirSync(new URL('histories/', import.meta.url)).sort()).toEqual(HISTORIES);
    for (const name of HISTORIES) expect(JSON.stringify(readHistory(name))).toContain('WORKFLOW_EXECUTION_STARTED');
  });

  it('name no machine', () => {
    for (const name of HISTORIES) {
      const text = JSON.stringify(readHistory(name));
      const identities = [...text.matchAll(/"identity":"([^"]*)"/g)].map((match) => match[1]);
      expect(new Set(identities), name).toEqual(new Set([IDENTITY]));
      expect(text.includes(hostname()) || text.includes(process.cwd()), name).toBe(false);
    }
  });

  it.each([
    ['today', false],
    ['today, where traces are carried on', true],
  ])('are replayed by the workflows of %s', async (_, traced) => {
    const results = await replayed(undefined, traced);
    expect(results.map(({ name }) => name)).toEqual(HISTORIES);
    for (const { name, error } of results) expect(error, name).toBeUndefined();
  });

  it('are refused by workflows that do something else', async () => {
    const results = await replayed('test/replay/fixtures/inserted-sleep.ts');
    expect(results.map(({ name }) => name)).toEqual(HISTORIES);
    for (const { name, error } of results) expect(error, name).toBeInstanceOf(DeterminismViolationError);
  });
});
