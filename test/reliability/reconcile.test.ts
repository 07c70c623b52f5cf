import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { Bench } from '../e2e/harness.js';
import { Run } from './support/experiment.js';
import { goesOn, leave, stand, type Standing } from './support/standing.js';

/*
 * A whole stack on which something stands at every stage is stopped, Temporal's database is deleted, and the stack is started
 * again. `custody reconcile` then starts from the records in the store alone whatever is to run. It is survived by whatever
 * goes on where it was: under the same requests, with the same routes, and with nothing done twice.
 */
const SETUP_MS = 900_000;

const run = new Run('reconcile');
let bench: Bench;
let before: Standing | undefined;

interface Reconciled {
  readonly started: readonly string[];
  readonly running: readonly string[];
  readonly odd: readonly unknown[];
}

async function reconciled(): Promise<Reconciled> {
  const { code, stdout, stderr } = await bench.cli('reconcile', '--json');
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Reconciled;
}

beforeAll(async () => {
  bench = await Bench.start();
  before = await stand(bench);
  bench = await bench.again((layout) => rmSync(layout.path('temporal'), { recursive: true }));
}, SETUP_MS);
afterAll(async () => {
  if (before !== undefined) await leave(before);
  await bench?.stop();
});

const GROUP = 'Temporal’s database is deleted';
run.fault(GROUP, 'what is to run is started, and once more changes nothing', async () => {
  const first = await reconciled();
  expect(first).toMatchObject({ running: [], odd: [] });
  run.figure('workflows started from the records', first.started.length, '');
  const { started, running } = await reconciled();
  expect({ started, running: [...running].sort() }).toEqual({ started: [], running: [...first.started].sort() });
});
const now = (): { bench: Bench; before: Standing } => {
  if (before === undefined) throw new Error('there is no stack');
  return { bench, before };
};
goesOn(run, GROUP, now, true);
