// Control's workflows in a process of their own, that can be killed: worker <address> <namespace> <bundle>
import { readFileSync } from 'node:fs';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

const [address, namespace, bundle] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
// It does not outlive whoever has started it.
process.stdin.on('end', () => process.exit()).resume();
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address }),
  namespace,
  taskQueue: 'control',
  workflowBundle: { code: readFileSync(bundle, 'utf8') },
  stickyQueueScheduleToStartTimeout: '1s',
});
await worker.run();
