import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { replaceFile } from '../../client/files.js';
import { readKey } from '../../client/init.js';
import { provenanceBeside, writeProvenance } from '../../client/provenance.js';
import { Layout, type StackDescription } from '../../client/stack/layout.js';
import type { LifecycleStatus } from '../../domain/lifecycle.js';
import { startLoad, type Load } from '../../examples/digits/load.js';
import { shippedFolder, shippedProvenance } from '../../examples/digits/ship.js';
import { omsResources, parseManifest } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { readProvenance } from '../../formats/provenance.js';
import { sha256 } from '../../formats/sha256.js';
import { Child } from './support/child.js';
import { afterLine, atOnce, atStage, atWeight, inActivity, Killer, type Kill } from './support/kills.js';
import { processesOf } from './support/processes.js';
import { dropState, MODEL, stateFolder, tell, type Told } from './support/story.js';
import { inTurn } from './support/turns.js';
import { until } from './support/until.js';

const PROCESSES = 'temporal store vault gateway api control intake signing serving training watch'.split(' ');

/** Each process dies once, where it has something to lose, and each step loses one. */
const KILLS: readonly Kill[] = [
  { step: 'train', process: 'training', moment: inActivity(`training/${MODEL}/v1-0-0`, 'train') },
  { step: 'first', process: 'intake', moment: inActivity(`lifecycle/${MODEL}/1.0.0`, 'validate') },
  { step: 'first', process: 'api', moment: atOnce },
  { step: 'first', process: 'temporal', moment: atStage('1.0.0', 'roll out') },
  { step: 'better', process: 'signing', moment: inActivity(`lifecycle/${MODEL}/1.1.0`, 'signRelease'), held: true },
  { step: 'better', process: 'control', moment: atWeight('1.1.0', 50) },
  { step: 'worse', process: 'watch', moment: inActivity(`endpoint/${MODEL}`, 'watchStep') },
  { step: 'tamper', process: 'serving', moment: afterLine("one bit of 1.0.0's weights is flipped") },
  { step: 'kill', process: 'gateway', moment: afterLine('callers get 503') },
  { step: 'retire', process: 'vault', moment: atStage('1.0.0', 'retire') },
  { step: 'prove', process: 'store', moment: atOnce },
];

// The killed story waits much, mostly for Temporal to give up a worker that is gone; the others are told beside it.
const turn = inTurn();
let told: Promise<Told> | null = null;
const undisturbed = (): Promise<Told> => (told ??= turn(() => tell()));

describe.concurrent('the story of a model', () => {
  test('is told to its end: one model retired, one in service, one rolled back, and nobody served a mixture', async () => {
    const { projection, lines, load, refusedLoads, left } = await undisturbed();
    expect(projection.outcomes).toEqual({ '1.0.0': 'retired', '1.1.0': 'in service', '1.2.0': 'rolled back' });
    expect(projection.routes).toEqual([
      '1 plan: 1.0.0 100 %',
      '2 promote: 1.0.0 100 %',
      '3 plan: 1.1.0 10 %, 1.0.0 90 %',
      '4 plan: 1.1.0 50 %, 1.0.0 50 %',
      '5 plan: 1.1.0 100 %, 1.0.0 0 %',
      '6 promote: 1.1.0 100 %, 1.0.0 0 %',
      '7 plan: 1.2.0 10 %, 1.1.0 90 %, 1.0.0 0 %',
      '8 rollback: 1.1.0 100 %, 1.0.0 0 %',
      '9 restore: 1.1.0 100 %, 1.0.0 0 %',
      '10 withdraw: 1.1.0 100 %',
    ]);
    expect(projection.letters).toEqual(['caller-0', 'caller-1', 'caller-2'].map((id) => `${id}@consumers.example`));
    expect(projection.statements).toMatchObject({ destruction: 1, notice: 1, approval: 7 });
    expect(projection).toMatchObject({ kills: 1, revocations: 1, nonces: 12 });
    const states = lines.flatMap((line) => /^ +at \S+ (\(.*)/.exec(line)?.[1] ?? []);
    expect(states).toEqual([
      '(1.0.0 alone): 1.0.0 100 %',
      '(1.1.0 promoted): 1.1.0 100 %, 1.0.0 0 %',
      '(killed): killed; 1.1.0 100 %, 1.0.0 0 %',
    ]);
    expect(refusedLoads).toBe(1);
    expect(load.mixed).toBe(0);
    expect(left).toEqual([]);
  });

  test('ends the same when each of its processes is killed in the middle of its work', async () => {
    const killer = new Killer(KILLS);
    const disturbed = await tell(killer.beside);
    const landed = await killer.landed();
    expect(landed.map(({ process: name }) => name).sort()).toEqual([...PROCESSES].sort());
    expect(landed.map(({ during }) => during)).toEqual(landed.map(({ step }) => step));
    expect(disturbed.projection).toEqual((await undisturbed()).projection);
    expect(disturbed.load.mixed).toBe(0);
    expect(disturbed.left).toEqual([]);
  });
});

describe.concurrent('whoever holds the processes', () => {
  test('may be killed: all of them end, and the next `custody dev` goes on where they were', ({ onTestFinished }) =>
    turn(async () => {
      const stack = new Terminal();
      onTestFinished(() => stack.leave());
      await stack.dev();
      await stack.cli('release', stack.release(), '--bundle', `${stack.release()}.sig.json`, '--key', 'ci');
      const { gate } = await stack.reaches(({ gate }) => gate !== null);
      await stack.dies();

      await stack.dev();
      await stack.cli('approve', gate?.requestId ?? '', '--key', 'alice', '--yes');
      stack.callers();
      await stack.reaches(({ stage }) => stage === 'in service');
      await stack.serves();
      await stack.dies();

      await stack.dev();
      await stack.serves();
      expect(await stack.interrupts()).toBe(0);
    }));

  test('may be stopped by Ctrl-C at any moment: exit code 130, nothing is left running, and the next start works', ({
    onTestFinished,
  }) =>
    turn(async () => {
      const stack = new Terminal();
      onTestFinished(() => stack.leave());
      for (const moment of [
        'made development keys',
        'the store proved itself WORM',
        '1.0.0 was trained',
        'alice approves',
      ]) {
        stack.story();
        await stack.says(moment);
        expect(await stack.interrupts()).toBe(130);
      }
      stack.story();
      await stack.says('signed, loaded, serving every caller');
      expect(await stack.interrupts()).toBe(130);

      await stack.dev();
      await stack.serves();
      expect(await stack.interrupts()).toBe(0);
    }));
});

/** Somebody at a terminal, with one state folder. */
class Terminal {
  readonly #state = stateFolder();
  readonly #layout = new Layout(this.#state);
  #running: Child | null = null;
  #load: Load | null = null;

  async leave(): Promise<void> {
    await this.#load?.stop();
    if (this.#running !== null) await this.dies();
    dropState(this.#state);
  }

  /** A release is judged by its answers, so there must be some. */
  callers(): void {
    const { url } = this.#description().gateway;
    this.#load = startLoad({ url, model: MODEL, ratePerSecond: 20, callers: 10 });
  }

  async dev(): Promise<void> {
    this.#running = new Child('bundled/programs/custody.js', ['--state', this.#state, 'dev']);
    await this.says('Ctrl-C ends it');
  }

  story(): void {
    this.#running = new Child('examples/digits/story.js', [], { CUSTODY_STATE: this.#state });
  }

  async says(part: string): Promise<void> {
    await this.#running?.said(part);
  }

  /** A shipped release, signed by the producer of this stack. */
  release(): string {
    const folder = join(this.#state, 'release');
    if (existsSync(folder)) return folder;
    cpSync(shippedFolder('1.0.0'), folder, { recursive: true });
    const text = readFileSync(join(folder, 'custody.json'));
    const key = readKey(this.#layout.key('trainer'));
    const packed = { manifest: parseManifest(text), release: sha256(text) };
    replaceFile(`${folder}.sig.json`, signOms('digits 1.0.0', omsResources(packed.manifest, text), key));
    const shipped = shippedProvenance('1.0.0');
    const said = readProvenance(readFileSync(shipped), shipped, packed.release);
    writeProvenance(provenanceBeside(`${folder}.sig.json`), packed, said, key);
    return folder;
  }

  async cli(...args: readonly string[]): Promise<unknown> {
    const command = new Child('bundled/programs/custody.js', ['--state', this.#state, '--json', ...args]);
    const code = await command.ended();
    if (code !== 0) throw new Error(`custody ${args.join(' ')} ended with ${code}:\n${command.text}`);
    return JSON.parse(command.answer) as unknown;
  }

  reaches(holds: (status: LifecycleStatus) => boolean): Promise<LifecycleStatus> {
    return until('the release is far enough', 120, async () => {
      const status = (await this.cli('status', MODEL, '1.0.0')) as LifecycleStatus;
      return holds(status) ? status : null;
    });
  }

  serves(): Promise<unknown> {
    const data = Array.from({ length: 64 }, () => 0);
    const body = JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] });
    return until('callers are served', 60, async () => {
      const address = new URL(`/v2/models/${MODEL}/infer`, this.#description().gateway.url);
      const answer = await fetch(address, { method: 'POST', body });
      const text = await answer.text();
      if (answer.status !== 200) throw new Error(text);
      return true;
    });
  }

  /** SIGKILL for the supervisor alone. */
  async dies(): Promise<void> {
    this.#running?.signal('SIGKILL');
    await this.#ends();
  }

  /** Ctrl-C; answers the exit code. */
  async interrupts(): Promise<unknown> {
    this.#running?.signal('SIGINT');
    const code = await this.#ends();
    expect(existsSync(this.#layout.description)).toBe(false);
    return code;
  }

  #description(): StackDescription {
    return JSON.parse(readFileSync(this.#layout.description, 'utf8')) as StackDescription;
  }

  async #ends(): Promise<unknown> {
    const code = await this.#running?.ended();
    this.#running = null;
    await until('all processes have ended', 30, async () => {
      const left = processesOf(this.#state);
      if (left.length > 0) throw new Error(left.join('\n'));
      return true;
    });
    return code;
  }
}
