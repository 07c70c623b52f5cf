import type { Observable, Observed } from '../../domain/observed.js';
import type { Connection } from '../../domain/traffic.js';
import type { Server } from 'node:net';
import { NetworkCounters } from './counters.js';
import type { LayoutStep } from './layout.js';
import { oddities } from './outputs.js';
import type { SandboxRequest, SandboxResult } from './port.js';
import { RecordingProxy } from './proxy.js';
import type { Listener } from './process.js';
import { descendants, nameIfAlive } from './processes.js';
import { Tally } from './tally.js';
import { canTrace, Trace, tracedCommand } from './tracer.js';

const KILLED = 128 + 9;
const FILE_TOO_LARGE = 128 + 25;

/**
 * What can be seen of one run from outside, by the kernel's counters, its processes, its output, and by its system calls
 * where there is a tracer that works. Nothing that the run says is asked for.
 */
export class Watch {
  readonly #tally = new Tally();
  /** What the proxy did not let through. */
  readonly #refused = new Tally();
  readonly #tracer: string | null;
  readonly #trace: Trace | null;
  readonly #proxy: RecordingProxy | null;
  #builders: ReadonlySet<number> = new Set();
  #counters: NetworkCounters | null = null;

  private constructor({ mounts, cwd, network }: SandboxRequest, steps: readonly LayoutStep[], tracer: string | null) {
    const programs = steps.flatMap((step) => (step.do === 'proc' ? [] : [step.target]));
    const own = { mounts: mounts.map(({ target }) => target), programs, cwd };
    this.#tracer = tracer;
    this.#trace = tracer === null ? null : new Trace(own, this.#tally);
    const attempt = (what: string): void => this.#refused.add('network', `by the proxy: ${what}`);
    this.#proxy = network === undefined ? null : new RecordingProxy(network, attempt);
  }

  static async over(request: SandboxRequest, steps: readonly LayoutStep[]): Promise<Watch> {
    const { tracer } = request;
    const works = tracer !== undefined && (await canTrace(tracer));
    return new Watch(request, steps, works ? tracer : null);
  }

  /** The same, traced where it can be. */
  traced(command: readonly string[]): readonly string[] {
    return this.#tracer === null ? command : tracedCommand(this.#tracer, command);
  }

  /** `stop` ends a run whose proxy is gone. */
  listener(stop: () => void): Pick<Listener, 'onLog' | 'onListener' | 'onStart' | 'onEnd'> {
    const [trace, proxy] = [this.#trace, this.#proxy];
    return {
      onStart: (pid) => {
        const builders = descendants(pid);
        this.#builders = new Set(builders);
        // The last one is what will start the command.
        this.#counters = NetworkCounters.of(builders.at(-1) ?? pid);
      },
      onEnd: (pid) => {
        for (const left of descendants(pid)) {
          const name = this.#builders.has(left) ? null : nameIfAlive(left);
          if (name !== null) this.#tally.add('left-behind', name);
        }
      },
      ...(proxy === null ? {} : { onListener: (server: Server) => proxy.serve(server, stop) }),
      ...(trace === null ? {} : { onLog: (bytes: Buffer) => trace.take(bytes) }),
    };
  }

  /** Once everything in the sandbox has ended. */
  async observed(
    { ended, exitCode }: Pick<SandboxResult, 'ended' | 'exitCode'>,
    writable: readonly string[],
  ): Promise<Observed> {
    const tally = this.#tally;
    await this.#proxy?.close();
    const counts = [...(this.#counters?.take() ?? [])];
    const sum = counts.reduce((total, [, count]) => total + count, 0);
    tally.atLeast('network', sum, counts.map(([what, count]) => `${count} × ${what}`).join(' and '));
    // It was answered, so neither the kernel nor a tracer has counted it.
    for (const { kind, count, detail } of this.#refused.seen) tally.add(kind, detail, count);
    if (ended !== 'exited') tally.add('limit', ended === 'wall-limit' ? 'time' : 'output');
    else if (exitCode === KILLED) tally.atLeast('limit', 1, 'killed: processor time or memory');
    else if (exitCode === FILE_TOO_LARGE) tally.atLeast('limit', 1, 'the size of a file');
    await oddities(writable, (what) => tally.add('output', what));
    return { watched: this.#watched(), seen: tally.seen };
  }

  /** What has gone through the proxy. */
  get connections(): readonly Connection[] {
    return this.#proxy?.connections ?? [];
  }

  #watched(): Observable[] {
    const isTraced = this.#trace !== null;
    const isCounted = this.#counters !== null && (this.#counters.isWhole || isTraced);
    return [
      ...(isCounted ? (['network'] as const) : []),
      ...(isTraced ? Trace.watched : []),
      ...(['limit', 'left-behind', 'output'] as const),
    ];
  }

  close(): void {
    this.#proxy?.destroy();
    this.#counters?.close();
  }
}
