import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Custody } from '../../client/connect.js';
import { endpointStatus, openGates, send } from '../../client/messages.js';
import { CustodyError, exitCodeOf } from '../../domain/errors.js';
import { endpointId } from '../../domain/names.js';
import { SEARCH_ATTRIBUTES, startEndpoint } from '../../workflows/messages.js';
import { startDevServer } from '../support/temporal.js';
import { envelope } from '../support/zones.js';

let env: TestWorkflowEnvironment;
let custody: Custody;

beforeAll(async () => {
  env = await startDevServer();
  custody = { temporal: env.client } as Custody;
});
afterAll(() => env?.teardown());

it('while no worker of control is up, whoever asks or sends is told so, and that it is pending', async () => {
  // It looks as if it waited for somebody.
  await env.client.workflow.start('endpoint', {
    ...startEndpoint('digits'),
    args: [],
    typedSearchAttributes: [{ key: SEARCH_ATTRIBUTES.awaiting, value: 'operator' }],
  });
  const acts = {
    status: () => endpointStatus(custody, 'digits'),
    approve: async () => {
      await expect.poll(async () => (await env.client.workflow.count(`CustodyAwaiting = 'operator'`)).count).toBe(1);
      return openGates(custody);
    },
    kill: () => send(custody, endpointId('digits'), 'kill', envelope('stop'), 1_000),
  };
  const thrownBy = async (act: () => Promise<unknown>): Promise<unknown> =>
    act().then(
      () => null,
      (thrown: unknown) => thrown,
    );
  const errors = await Promise.all(
    Object.entries(acts).map(async ([name, act]) => [name, await thrownBy(act)] as const),
  );
  for (const [name, error] of errors) {
    expect(error, name).toBeInstanceOf(CustodyError);
    const { code, message } = error as CustodyError;
    expect({ code, exit: exitCodeOf(code) }, name).toEqual({ code: 'PENDING', exit: 5 });
    expect(message, name).toContain('endpoint/digits has not answered');
    expect(message, name).toContain('the zone control runs it: `custody doctor`');
  }
  await expect(endpointStatus(custody, 'letters')).rejects.toMatchObject({ code: 'INPUT_MISSING' });
});
