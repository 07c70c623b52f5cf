import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { Bench, environment } from '../e2e/harness.js';
import { until } from '../e2e/support/until.js';
import { Run } from './support/experiment.js';
import { NOTHING, survived, type Fault } from './support/ordeal.js';
import { Scene } from './support/scene.js';
import { startSecondZones } from './support/second-zones.js';
import { call, goesOn, leave, stand, type Standing } from './support/standing.js';

/*
 * From the last version, built from the repository's history, to this one.
 *
 * A whole stack of the last version, on which something stands at every stage, is stopped, and started as this one on the same folder:
 * each has to go on where it was.
 *
 * On a second one each zone gets a worker of this version beside its own, with the same keys; control's has a build, as docs/upgrade.md has
 * it, and workflows are first of the last version, then of this, of the last and of this again. Then each process of the stack is
 * ended, and started again as this version. What is held against each step is said of `survived`.
 */
const SETUP_MS = 1_800_000;
const PATIENCE_SECONDS = 60;
const BUILD = 'this';
const PROCESSES = ['vault', 'gateway', 'api', 'intake', 'signing', 'serving', 'training', 'watch', 'control'] as const;

const run = new Run('upgrade');

/** A copy of the last version where the zones' users can read it, and which can become this one under those who run it. */
class Program {
  readonly folder = mkdtempSync(join(tmpdir(), 'custody-program-'));

  constructor() {
    execFileSync('cp', ['-a', `${environment('CUSTODY_LAST_VERSION')}/.`, this.folder]);
    chmodSync(this.folder, 0o755);
  }

  /** Whatever is started from it from now on is this version. */
  becomesThis(): void {
    const compiled = join(this.folder, 'dist');
    renameSync(compiled, `${compiled}-of-before`);
    symlinkSync(join(process.cwd(), 'dist'), compiled);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

const program = new Program();
const STOPPED = 'a stack of the last version, started again as this one';
let bench: Bench | undefined;
let before: Standing | undefined;

beforeAll(async () => {
  bench = await Bench.start(undefined, { version: program.folder });
  before = await stand(bench);
  // The last version ended its gateway after what serves: a release under rollout would have been blamed for that.
  await leave(before);
  bench = await bench.again();
  before = { ...before, callers: call(bench) };
}, SETUP_MS);

goesOn(run, STOPPED, () => {
  if (bench === undefined || before === undefined) throw new Error('there is no stack');
  return { bench, before };
});

let scene: Scene | undefined;

function side(): Scene {
  if (scene === undefined) throw new Error('there is no stack of both versions');
  return scene;
}

async function end(): Promise<void> {
  if (before !== undefined) await leave(before);
  await bench?.stop();
  bench = undefined;
}

afterAll(async () => {
  await scene?.stop();
  await end();
  program.remove();
}, SETUP_MS);

/** Which build runs the workflows, as docs/upgrade.md has people say it. */
async function becomesCurrent(build: string | null): Promise<void> {
  const which = build === null ? ['--unversioned'] : ['--build-id', build];
  const { temporal } = side().bench.stack.description;
  await until('it to be current', PATIENCE_SECONDS, async () => {
    const line = [
      ...['temporal', 'worker', 'deployment', 'set-current-version', '--deployment-name', 'custody', ...which],
      ...['--yes', '--address', temporal.address, '--namespace', temporal.namespace],
    ];
    const { code, stderr } = await side().bench.shell(line.join(' '));
    if (code !== 0) throw new Error(stderr);
    return true;
  });
}

const during = (begin: Fault['begin']): Fault => ({ ...NOTHING, begin });

const SIDE = 'workers of the last version and of this one side by side';
run.fault(
  SIDE,
  'the workflows are of the last one',
  async () => {
    await end();
    bench = await Bench.start(undefined, { version: program.folder });
    scene = await Scene.of(bench);
    await startSecondZones(bench, (zone, config) => (zone === 'control' ? { ...config, build: BUILD } : config));
    await survived(scene, 'both versions', NOTHING);
  },
  SETUP_MS,
);
const steps: readonly (readonly [string, string | null])[] = [
  ['they become of this one', BUILD],
  ['they go back to the last one', null],
  ['they become of this one again', BUILD],
];
for (const [what, build] of steps)
  run.fault(
    SIDE,
    what,
    async () => {
      await survived(
        side(),
        what,
        during(() => becomesCurrent(build)),
      );
      await survived(side(), `${what}, from the start`, NOTHING);
    },
    SETUP_MS,
  );

const ROLLING = 'a process of the last version, started again as this one';
for (const name of PROCESSES)
  run.fault(
    ROLLING,
    name,
    async () => {
      if (name === PROCESSES[0]) program.becomesThis();
      const { supervisor } = side().bench.stack;
      const restarted = once(supervisor, 'restarted');
      const begin = (): void => side().bench.signalProcess(name, 'SIGTERM');
      const end = async (): Promise<void> => {
        expect((await restarted)[0]).toBe(name);
      };
      await survived(side(), `${name} as this version`, { begin, end, lastsMs: 0 });
    },
    SETUP_MS,
  );
