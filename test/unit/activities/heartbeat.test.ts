import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from 'vitest';
import { beating } from '../../../activities/heartbeat.js';

test('an act that tells nothing of its progress shows that its worker is alive, several times within the timeout', async () => {
  const environment = new MockActivityEnvironment({ heartbeatTimeoutMs: 40 });
  let beats = 0;
  const beaten = new Promise<void>((resolve) => {
    environment.on('heartbeat', () => {
      beats += 1;
      if (beats === 4) resolve();
    });
  });
  const acts = beating({ act: async (answer: string) => beaten.then(() => answer) });
  const began = performance.now();
  expect(await environment.run(acts.act, 'done')).toBe('done');
  expect(performance.now() - began).toBeGreaterThan(25);

  const failing = beating({ act: async () => Promise.reject(new Error('refused')) });
  await expect(environment.run(failing.act)).rejects.toThrow('refused');
});
