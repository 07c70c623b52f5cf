import { expect, it } from 'vitest';
import { NamedLocks } from '../../../vault/locks.js';

/** Holders note when they begin and end; each waits until the test lets it go. */
function holders(locks: NamedLocks) {
  const log: string[] = [];
  const gates = new Map<string, () => void>();
  const hold = (id: string, names: readonly string[]): Promise<string> =>
    locks.hold(names, async () => {
      log.push(`${id} begins`);
      await new Promise<void>((resolve) => gates.set(id, resolve));
      log.push(`${id} ends`);
      return id;
    });
  return { log, hold, letGo: (id: string) => gates.get(id)?.() };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('lets holders of the same name follow each other in the order they came', async () => {
  const { log, hold, letGo } = holders(new NamedLocks());
  const all = Promise.all([hold('1', ['x']), hold('2', ['x']), hold('3', ['x'])]);
  for (const id of ['1', '2', '3']) {
    await settled();
    letGo(id);
  }
  expect(await all).toEqual(['1', '2', '3']);
  expect(log).toEqual(['1', '2', '3'].flatMap((id) => [`${id} begins`, `${id} ends`]));
});

it('lets holders of different names act together', async () => {
  const { log, hold, letGo } = holders(new NamedLocks());
  const all = Promise.all([hold('1', ['x']), hold('2', ['y'])]);
  await settled();
  expect(log).toEqual(['1 begins', '2 begins']);
  letGo('1');
  letGo('2');
  await all;
});

it('never lets holders of several names wait for each other in a circle', async () => {
  const { log, hold, letGo } = holders(new NamedLocks());
  const all = Promise.all([hold('1', ['x', 'y']), hold('2', ['y', 'x']), hold('3', ['y'])]);
  for (const id of ['1', '2', '3']) {
    await settled();
    letGo(id);
  }
  await all;
  expect(log.filter((line) => line.endsWith('begins'))).toEqual(['1 begins', '2 begins', '3 begins']);
});

it('passes a failure on, and the name to the next', async () => {
  const locks = new NamedLocks();
  const failing = locks.hold(['x', 'x'], async () => {
    throw new Error('no');
  });
  const next = locks.hold(['x'], async () => 'yes');
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('yes');
});
