import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isAlive } from '../../../client/stack/layout.js';
import { Supervisor } from '../../../client/stack/supervisor.js';

let folder: string;
let supervisor: Supervisor;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'custody-supervisor-'));
  supervisor = new Supervisor();
});
afterEach(async () => {
  await supervisor.stop();
  rmSync(folder, { recursive: true });
});

const script = `console.log('{"ready":true}'); setInterval(() => {}, 1000)`;
const start = (name: string): Promise<void> =>
  supervisor.start({
    name,
    command: [process.execPath, '-e', script],
    env: {},
    logFile: join(folder, `${name}.log`),
  });

test('one that was ended stays so, while what dies beside it is started again', async () => {
  await start('ended');
  await start('killed');
  const { ended = 0, killed = 0 } = supervisor.pids();
  await supervisor.end('ended');
  expect(isAlive(ended)).toBe(false);
  const restarted = once(supervisor, 'restarted');
  process.kill(killed, 'SIGKILL');
  expect(await restarted).toEqual(['killed', supervisor.pids()['killed']]);
  expect(Object.keys(supervisor.pids())).toEqual(['killed']);
});

test('one that has died and waits to be started again is not, once it was ended', async () => {
  await start('ended');
  await start('other');
  const { ended = 0, other = 0 } = supervisor.pids();
  const died = once(supervisor, 'died');
  process.kill(ended, 'SIGKILL');
  await died;
  await supervisor.end('ended');
  // By the time that another has come back, it would have, too.
  const restarted = once(supervisor, 'restarted');
  process.kill(other, 'SIGKILL');
  expect((await restarted)[0]).toBe('other');
  expect(Object.keys(supervisor.pids())).toEqual(['other']);
});
