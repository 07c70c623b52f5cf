// `node naive.mjs <address of Temporal> <namespace>`: a worker with everything as the SDK has it by default, for a workflow of
// one activity after the other, each of which does nothing. Sends `ready`.
import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

const [address, namespace] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: [] });
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address }),
  namespace,
  taskQueue: 'naive',
  workflowsPath: fileURLToPath(new URL('naive-workflow.mjs', import.meta.url)),
  activities: { nothing: async () => undefined },
});
const stop = () => worker.getState() === 'RUNNING' && worker.shutdown();
process.once('SIGTERM', stop);
process.once('disconnect', stop);
const run = worker.run();
process.send?.('ready');
await run;
process.exit();
