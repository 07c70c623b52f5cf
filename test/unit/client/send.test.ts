import { WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { expect, test } from 'vitest';
import type { Custody } from '../../../client/connect.js';
import { send } from '../../../client/messages.js';

const ENVELOPE = { payloadType: 'application/vnd.in-toto+json', payload: 'e30=', signatures: [] };
const refusedAs = (type: string): Error =>
  new WorkflowUpdateFailedError('refused', ApplicationFailure.nonRetryable('because', type));

/** A workflow whose updates end like this, one after the other. */
function answering(...ends: readonly (Error | object)[]): { custody: Custody; ids: string[] } {
  const ids: string[] = [];
  const executeUpdate = async (_: string, { updateId }: { updateId: string }): Promise<object> => {
    const end = ends[ids.length] ?? new Error('it was asked once too often');
    ids.push(updateId);
    if (end instanceof Error) throw end;
    return end;
  };
  const temporal = {
    withDeadline: (_: number, act: () => unknown): unknown => act(),
    workflow: { getHandle: () => ({ executeUpdate }) },
  };
  return { custody: { temporal } as unknown as Custody, ids };
}

test('a message that died with the worker that had it is sent again, as the same', async () => {
  const { custody, ids } = answering(refusedAs('UnprocessedUpdate'), { by: 'oscar' });
  await expect(send(custody, 'endpoint/digits', 'kill', ENVELOPE)).resolves.toEqual({ by: 'oscar' });
  expect(ids).toHaveLength(2);
  expect(new Set(ids).size).toBe(1);
});

test('a verdict is taken for one', async () => {
  const { custody, ids } = answering(refusedAs('NOT_AUTHORISED'), { by: 'oscar' });
  await expect(send(custody, 'endpoint/digits', 'kill', ENVELOPE)).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
  expect(ids).toHaveLength(1);
});
