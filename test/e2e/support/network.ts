import { execFileSync } from 'node:child_process';

/** One link between this host and a host of its own: an address at each end. */
export interface Link {
  readonly here: string;
  readonly there: string;
}

const NUMBERS = 250;

/**
 * Another host, as far as the network goes: a namespace with two links, so that what control says can be cut off while
 * callers still come through. Needs root.
 */
export class OtherHost {
  readonly name = `custody-${process.pid}`;
  readonly control: Link;
  readonly callers: Link;
  readonly #wires: readonly string[];

  constructor() {
    const number = process.pid % NUMBERS;
    this.#wires = [`cc${process.pid}`, `cd${process.pid}`];
    [this.control, this.callers] = [213, 214].map((net) => linkOf(net, number)) as [Link, Link];
    ip('netns', 'add', this.name);
    ip('-n', this.name, 'link', 'set', 'lo', 'up');
    for (const [index, { here, there }] of [this.control, this.callers].entries()) {
      const [wire, far] = [this.#wires[index] ?? '', `eth${index}`];
      ip('link', 'add', wire, 'type', 'veth', 'peer', 'name', far, 'netns', this.name);
      ip('addr', 'add', `${here}/30`, 'dev', wire);
      ip('-n', this.name, 'addr', 'add', `${there}/30`, 'dev', far);
      ip('link', 'set', wire, 'up');
      ip('-n', this.name, 'link', 'set', far, 'up');
    }
  }

  /** Put before a command that is to run there. */
  get prefix(): readonly [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.name];
  }

  cutControl(): void {
    ip('link', 'set', this.#wires[0] ?? '', 'down');
  }

  mendControl(): void {
    ip('link', 'set', this.#wires[0] ?? '', 'up');
  }

  remove(): void {
    ip('netns', 'delete', this.name);
    // A namespace takes its ends of the links along, and they ours, in the background.
    for (const wire of this.#wires) run('link', 'delete', wire);
  }
}

/** Why no other host can be had here; `null` when one can. */
export function whyNoOtherHost(): string | null {
  const probe = `custody-probe-${process.pid}`;
  const failed = run('netns', 'add', probe);
  if (failed === null) ip('netns', 'delete', probe);
  return failed;
}

function linkOf(net: number, number: number): Link {
  return { here: `10.${net}.${number}.1`, there: `10.${net}.${number}.2` };
}

function ip(...args: readonly string[]): void {
  const failed = run(...args);
  if (failed !== null) throw new Error(failed);
}

/** How it failed; `null` when it did not. */
function run(...args: readonly string[]): string | null {
  try {
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
