import { Client, Connection } from '@temporalio/client';
import { expect, test } from 'vitest';
import type { Custody } from '../../../client/connect.js';
import { runToEnd } from '../../../client/messages.js';
import { freePort } from '../../../client/stack/layout.js';

test('attack: a server that is gone when a workflow is to start is a dependency that is down, not a fault', async () => {
  const connection = Connection.lazy({ address: `127.0.0.1:${await freePort()}`, interceptors: [] });
  const custody = { temporal: new Client({ connection }) } as Pick<Custody, 'temporal'> as Custody;
  const options = { workflowId: 'resign/probe', taskQueue: 'control', staticSummary: '' };
  await expect(runToEnd(custody, 'resign', options, {})).rejects.toMatchObject({ code: 'TEMPORAL_UNAVAILABLE' });
  await connection.close();
}, 60_000);
