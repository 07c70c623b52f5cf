import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { bundleWorkflows } from '../../workers/bundle.js';
import { SEARCH_ATTRIBUTES } from '../../workflows/messages.js';

/** In committed histories too, so it names nobody and no machine. */
export const IDENTITY = 'custody-test';

Runtime.install({ logger: new DefaultLogger('ERROR') });

/** The path that an environment variable gives; `npm test` sets all of them. */
export function serverPath(variable: 'CUSTODY_TEMPORAL' | 'CUSTODY_TEST_SERVER'): string {
  const path = process.env[variable];
  if (path === undefined || path === '') throw new Error(`${variable} is not set: run the tests with npm test`);
  return path;
}

const bundles = new Map<string, Promise<WorkflowBundleWithSourceMap>>();

/** The workflows as one bundle, made once in each process. `entry` is relative to the repository. */
export function workflowBundle(entry = 'workflows/index.ts', traced = false): Promise<WorkflowBundleWithSourceMap> {
  const name = `${entry} ${traced}`;
  const known = bundles.get(name);
  if (known !== undefined) return known;
  const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));
  const interceptors = traced ? [pathOf('workflows/traces.ts')] : [];
  const made = bundleWorkflows(pathOf(entry), { interceptors, logger: new DefaultLogger('ERROR') });
  bundles.set(name, made);
  return made;
}

const hops = ['history.transferProcessorMaxPollRPS=200', 'history.timerProcessorMaxPollRPS=200'];

/** The SDK gives a server five seconds to come up, which a busy machine does not always keep. */
async function patiently<T>(start: () => Promise<T>, attempts = 20): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (attempts === 1) throw error;
    return patiently(start, attempts - 1);
  }
}

/** A real Temporal server in memory, with the search attributes. Call `teardown()` at the end. */
export function startDevServer(): Promise<TestWorkflowEnvironment> {
  return patiently(() =>
    TestWorkflowEnvironment.createLocal({
      client: { identity: IDENTITY },
      server: {
        executable: { type: 'existing-path', path: serverPath('CUSTODY_TEMPORAL') },
        searchAttributes: Object.values(SEARCH_ATTRIBUTES),
        extraArgs: [...hops, 'history.timerProcessorMaxTimeShift="1ms"'].flatMap((v) => ['--dynamic-config-value', v]),
      },
    }),
  );
}

/** The server whose clock jumps to the next timer while a result is awaited. Call `teardown()` at the end. */
export async function startTimeSkipping(): Promise<TestWorkflowEnvironment> {
  const env = await patiently(() =>
    TestWorkflowEnvironment.createTimeSkipping({
      client: { identity: IDENTITY },
      server: { executable: { type: 'existing-path', path: serverPath('CUSTODY_TEST_SERVER') } },
    }),
  );
  const KEYWORD = 2;
  await env.connection.operatorService.addSearchAttributes({
    namespace: env.namespace ?? 'default',
    searchAttributes: Object.fromEntries(Object.values(SEARCH_ATTRIBUTES).map((key) => [key.name, KEYWORD])),
  });
  return env;
}

const HISTORIES = new URL('../replay/histories/', import.meta.url);

/** Keeps a history for the replay tests when CUSTODY_CAPTURE is 1: run so after a change that was meant to break replay. */
export async function capture(handle: WorkflowHandle, name: string): Promise<void> {
  if (process.env['CUSTODY_CAPTURE'] !== '1') return;
  const history: unknown = JSON.parse(historyToJSON(await handle.fetchHistory()), (key, value: unknown) =>
    // A stack trace names the folders of this machine.
    key === 'stackTrace' ? '' : value,
  );
  const text = JSON.stringify({ workflowId: handle.workflowId, history }, null, 1);
  writeFileSync(new URL(`${name}.json`, HISTORIES), `${text}\n`);
}

/** The first run of a workflow that was continued, and the last. */
export async function captureRuns(
  client: Client,
  { workflowId }: WorkflowHandle,
  [first, last]: readonly [string, string],
): Promise<void> {
  const newest = client.workflow.getHandle(workflowId);
  const { firstExecutionRunId, continuedExecutionRunId } =
    (await newest.fetchHistory()).events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
  if (!firstExecutionRunId || !continuedExecutionRunId) throw new Error(`${workflowId} was not continued`);
  await capture(client.workflow.getHandle(workflowId, firstExecutionRunId), first);
  await capture(newest, last);
}

export function readHistory(name: string): { workflowId: string; history: unknown } {
  return JSON.parse(readFileSync(new URL(name, HISTORIES), 'utf8')) as { workflowId: string; history: unknown };
}
