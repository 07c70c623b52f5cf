import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { replaceFile } from '../../../client/files.js';
import { readKey } from '../../../client/init.js';
import { provenanceBeside, writeProvenance } from '../../../client/provenance.js';
import { Layout, type StackDescription } from '../../../client/stack/layout.js';
import type { LifecycleStatus } from '../../../domain/lifecycle.js';
import { startLoad, type Load } from '../../../examples/digits/load.js';
import { shippedFolder, shippedProvenance } from '../../../examples/digits/ship.js';
import { omsResources, parseManifest } from '../../../formats/manifest.js';
import { signOms } from '../../../formats/oms.js';
import { readProvenance } from '../../../formats/provenance.js';
import { sha256 } from '../../../formats/sha256.js';
import { Child } from './child.js';
import { processesOf } from './processes.js';
import { dropState, MODEL, stateFolder } from './story.js';
import { until } from './until.js';

/** Somebody at a terminal, with one state folder. */
export class Terminal {
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
    return until('the release is far enough', 180, async () => {
      const status = (await this.cli('status', MODEL, '1.0.0')) as LifecycleStatus;
      return holds(status) ? status : null;
    });
  }

  serves(): Promise<unknown> {
    const data = Array.from({ length: 64 }, () => 0);
    const body = JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] });
    return until('callers are served', 180, async () => {
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

  /** Ctrl-C; it ends with this exit code, and no stack is described any more. */
  async interrupts(code: number): Promise<void> {
    const running = this.#running;
    running?.signal('SIGINT');
    expect(await this.#ends(), running?.text).toBe(code);
    expect(existsSync(this.#layout.description), running?.text).toBe(false);
  }

  #description(): StackDescription {
    return JSON.parse(readFileSync(this.#layout.description, 'utf8')) as StackDescription;
  }

  async #ends(): Promise<unknown> {
    const code = await this.#running?.ended();
    this.#running = null;
    await until('all processes have ended', 180, async () => {
      const left = processesOf(this.#state);
      if (left.length > 0) throw new Error(left.join('\n'));
      return true;
    });
    return code;
  }
}
