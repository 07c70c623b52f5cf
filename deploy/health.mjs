// `node deploy/health.mjs <config.json>`: whether the process of this configuration does its work; exit code 0 or 1. A worker
// has no port: it is healthy while Temporal sees it ask for tasks. Vault and gateway answer on their sockets.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { Connection } from '@temporalio/client';

const ACTIVITY_TASK_QUEUE = 2;
/** A worker asks for tasks at least once a minute. */
const SILENT_MS = 120_000;
const ANSWER_MS = 5_000;

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
try {
  if (config.zone !== undefined) await polls(config);
  else if (config.admin !== undefined) await answers(config.admin.socket, '/state', 200);
  // What a socket of the vault does not serve, it refuses: nothing is asked of it, and it has answered.
  else for (const socket of Object.values(config.sockets)) await answers(socket, '/', 403);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function polls({ zone, temporal: { address, namespace } }) {
  const connection = await Connection.connect({ address, connectTimeout: ANSWER_MS });
  try {
    const { pollers } = await connection.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: zone },
      taskQueueType: ACTIVITY_TASK_QUEUE,
    });
    const newest = Math.max(0, ...pollers.map(({ lastAccessTime }) => Number(lastAccessTime.seconds) * 1000));
    if (Date.now() - newest > SILENT_MS) throw new Error(`no worker asks for tasks of ${zone}`);
  } finally {
    await connection.close();
  }
}

function answers(socketPath, path, status) {
  return new Promise((done, fail) => {
    const asked = request({ socketPath, path, timeout: ANSWER_MS }, (response) => {
      response.resume();
      if (response.statusCode === status) done();
      else fail(new Error(`${socketPath} answers ${response.statusCode}`));
    });
    asked.on('timeout', () => asked.destroy(new Error(`${socketPath} does not answer`)));
    asked.on('error', fail);
    asked.end();
  });
}
