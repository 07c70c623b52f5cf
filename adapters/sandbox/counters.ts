import { closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { ifThere, readProc } from './processes.js';

const LARGEST = 256 * 1024;

/** Those of the kernel's counters that go up when something was sent that nobody took. */
const COUNTERS: Readonly<Record<string, string>> = {
  'Ip OutNoRoutes': 'no route',
  Ip6OutNoRoutes: 'no route',
  'Tcp AttemptFails': 'no answer',
  'Udp NoPorts': 'nobody there',
  'UdpLite NoPorts': 'nobody there',
  Udp6NoPorts: 'nobody there',
  UdpLite6NoPorts: 'nobody there',
};

/**
 * What the kernel has counted in the network namespace of a sandbox. The open files keep the namespace, so they can be read
 * when everything in it has ended; nothing in it can change them.
 */
export class NetworkCounters {
  readonly #files: readonly number[];
  readonly #before: ReadonlyMap<string, number>;
  /** Whether IPv6 is counted, too: without a loopback device that is up, it fails before anything is counted. */
  readonly isWhole: boolean;

  private constructor(files: readonly number[], isWhole: boolean) {
    this.#files = files;
    this.isWhole = isWhole;
    this.#before = this.#read();
  }

  /** Of the namespace of this process; `null` where it is this one's own, or cannot be told. */
  static of(pid: number): NetworkCounters | null {
    const space = ifThere(() => readlinkSync(`/proc/${pid}/ns/net`));
    if (space === null || space === readlinkSync('/proc/self/ns/net')) return null;
    const file = ifThere(() => openSync(`/proc/${pid}/net/snmp`, 'r'));
    if (file === null) return null;
    const addresses = readProc(`/proc/${pid}/net/if_inet6`);
    const second = ifThere(() => openSync(`/proc/${pid}/net/snmp6`, 'r'));
    // A kernel without IPv6 has neither.
    return new NetworkCounters(second === null ? [file] : [file, second], second === null || addresses !== '');
  }

  /** How many since the start, by what became of them. */
  take(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const [name, value] of this.#read()) {
      const what = COUNTERS[name] as string;
      const more = value - (this.#before.get(name) ?? 0);
      if (more > 0) counts.set(what, (counts.get(what) ?? 0) + more);
    }
    return counts;
  }

  close(): void {
    for (const file of this.#files) closeSync(file);
  }

  #read(): Map<string, number> {
    const found = new Map<string, number>();
    for (const file of this.#files) {
      const lines = readWhole(file).trim().split('\n');
      for (const [at, line] of lines.entries()) {
        const [name = '', ...values] = line.split(/\s+/);
        if (name in COUNTERS) found.set(name, Number(values[0]));
        // Two lines of snmp belong together: the names, and the numbers under the same word.
        const names = lines[at - 1]?.split(/\s+/) ?? [];
        if (names[0] !== name) continue;
        for (const [column, value] of values.entries()) {
          const counter = `${name.slice(0, -1)} ${names[column + 1] ?? ''}`;
          if (counter in COUNTERS) found.set(counter, Number(value));
        }
      }
    }
    return found;
  }
}

function readWhole(file: number): string {
  const bytes = Buffer.alloc(LARGEST);
  let size = 0;
  for (let read = -1; read !== 0; size += read) read = readSync(file, bytes, size, LARGEST - size, size);
  return bytes.subarray(0, size).toString('latin1');
}
