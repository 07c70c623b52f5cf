import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { onPath } from '../../../client/stack/on-path.js';
import { environment } from '../../e2e/harness.js';

const DAY_SECONDS = 86_400;
/** The library looks at the file once a second, the servers more often. */
export const CLOCK_MS = 1_500;

/**
 * Wall clocks of a stack's processes, each of which can be moved while it runs; none that measures time is. Node gets a libc that
 * says so, and the servers, which are Go and ask no libc, are built with a standard library that does. The stack starts whatever
 * it starts by `setpriv`, which is therefore another here; `close` takes it off the PATH again.
 */
export class Clocks {
  readonly #folder: string;
  readonly #path = process.env['PATH'] ?? '';

  constructor(folder: string, names: readonly string[]) {
    this.#folder = folder;
    for (const each of ['bin', 'clocks']) mkdirSync(join(folder, each), { recursive: true });
    for (const name of names) this.set(name, 0);
    // Not where it was found: each zone runs as a user of its own, and may not be able to go there.
    const library = join(folder, 'libfaketime.so');
    copyFileSync(environment('CUSTODY_FAKETIME'), library);
    chmodSync(library, 0o644);
    const file = join(folder, 'bin', 'setpriv');
    writeFileSync(file, script(onPath('setpriv') ?? 'setpriv', join(folder, 'clocks'), library));
    chmodSync(file, 0o755);
    process.env['PATH'] = `${join(folder, 'bin')}${delimiter}${this.#path}`;
    for (const name of ['CUSTODY_TEMPORAL', 'CUSTODY_VERSITYGW']) process.env[name] = environment(`${name}_MOVED`);
  }

  aheadByADay(name: string): void {
    this.set(name, DAY_SECONDS);
  }

  right(name: string): void {
    this.set(name, 0);
  }

  close(): void {
    process.env['PATH'] = this.#path;
  }

  private set(name: string, seconds: number): void {
    writeFileSync(join(this.#folder, 'clocks', name), `+${seconds}\n`, { mode: 0o644 });
  }
}

/** `setpriv`, which hands on its clock to whoever is of the stack. */
function script(setpriv: string, clocks: string, library: string): string {
  return `#!/bin/sh
name=''
case "$*" in
  */zones/*/config.json) name=\${*##*/zones/}; name=\${name%/config.json} ;;
  *' server start-dev '*) name=temporal ;;
  */store/objects) name=store ;;
esac
if [ -z "$name" ]; then exec '${setpriv}' "$@"; fi
options=''
while [ "$1" != -- ]; do options="$options $1"; shift; done
shift
set -- env FAKETIME_TIMESTAMP_FILE="${clocks}/$name" FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1 CUSTODY_CLOCK="${clocks}/$name" LD_PRELOAD='${library}' "$@"
exec '${setpriv}' $options -- "$@"
`;
}
