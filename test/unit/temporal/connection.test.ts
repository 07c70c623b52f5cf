import { Server, ServerCredentials, status, type handleUnaryCall, type MethodDefinition } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { connectTemporal } from '../../../adapters/temporal.js';

const SERVICE = '/temporal.api.workflowservice.v1.WorkflowService';

function method(name: string): MethodDefinition<Buffer, Buffer> {
  const bytes = (value: Buffer): Buffer => value;
  const codecs = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  return { path: `${SERVICE}/${name}`, requestStream: false, responseStream: false, ...codecs };
}

/** A Temporal that lets itself be connected to, and is then not available. */
async function listen(onRefusal: () => void): Promise<{ address: string; stop: () => void }> {
  const server = new Server();
  const handlers: Record<string, handleUnaryCall<Buffer, Buffer>> = {
    GetSystemInfo: (_call, answer) => answer(null, Buffer.alloc(0)),
    DescribeNamespace: (_call, answer) => {
      answer({ code: status.UNAVAILABLE, details: 'going down' });
      onRefusal();
    },
  };
  server.addService(
    { GetSystemInfo: method('GetSystemInfo'), DescribeNamespace: method('DescribeNamespace') },
    handlers,
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

it('ends a call that is being tried again as cancelled when the connection is closed, and not the process', async () => {
  let refusals = 0;
  let refusedTwice = (): void => undefined;
  const beingTriedAgain = new Promise<void>((resolve) => {
    refusedTwice = resolve;
  });
  const temporal = await listen(() => {
    refusals += 1;
    if (refusals === 2) refusedTwice();
  });
  try {
    const connection = await connectTemporal(temporal.address);
    const call = connection.workflowService.describeNamespace({ namespace: 'dev' });
    const ended = expect(call).rejects.toMatchObject({ code: status.CANCELLED });
    await beingTriedAgain;
    await connection.close();
    await ended;
    await expect(connection.workflowService.describeNamespace({ namespace: 'dev' })).rejects.toMatchObject({
      code: status.CANCELLED,
    });
  } finally {
    temporal.stop();
  }
});
