import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, type Layout } from '../../../client/stack/layout.js';
import { environment } from '../../e2e/harness.js';
import { until } from '../../e2e/support/until.js';

const PATIENCE_SECONDS = 120;

/**
 * Something else where a stack has one of its servers, without the stack's knowledge: it starts a script that it takes for the server, on a
 * port that is chosen before.
 */
export class StandIn {
  readonly port: number;
  readonly #variable: string;
  readonly #real: string;
  readonly #folder: string;

  private constructor(folder: string, variable: string, port: number) {
    this.port = port;
    this.#variable = variable;
    this.#real = environment(variable);
    this.#folder = join(folder, variable.toLowerCase());
    mkdirSync(this.#folder, { recursive: true });
  }

  /** `script` gets the server, and the file that it is to make once it is called. Until `restore` the variable names it. */
  static async of(
    folder: string,
    variable: 'CUSTODY_TEMPORAL' | 'CUSTODY_VERSITYGW',
    script: (real: string, called: string) => string,
  ): Promise<StandIn> {
    const made = new StandIn(folder, variable, await freePort());
    const file = join(made.#folder, 'run');
    writeFileSync(file, `#!/bin/sh\n${script(made.#real, made.#called)}\n`);
    chmodSync(file, 0o755);
    process.env[variable] = file;
    return made;
  }

  get #called(): string {
    return join(this.#folder, 'called');
  }

  /** A port for the real one, behind this one: the script finds it beside the file that it makes. */
  async behind(): Promise<number> {
    const port = await freePort((taken) => taken === this.port);
    writeFileSync(`${this.#called}.port`, String(port));
    return port;
  }

  /** The stack has chosen its ports, and starts it. */
  called(): Promise<unknown> {
    return until(`${this.#variable} to be started`, PATIENCE_SECONDS, async () =>
      existsSync(this.#called) ? true : null,
    );
  }

  restore(): void {
    process.env[this.#variable] = this.#real;
  }
}

/** What a stack takes at its start, where it is free. */
export function wish(layout: Layout, ports: Readonly<Record<string, number>>): void {
  mkdirSync(layout.state, { recursive: true });
  writeFileSync(layout.path('ports.json'), JSON.stringify(ports));
}
