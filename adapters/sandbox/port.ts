import type { Observed } from '../../domain/observed.js';
import type { Connection } from '../../domain/traffic.js';
import type { ProxyLimits } from './proxy.js';

/** How a host isolates: with bubblewrap, or with util-linux's `unshare` and the same layout made by hand. */
export type SandboxKind = 'bubblewrap' | 'unshare';

export interface SandboxMount {
  /** A file or folder of the host. As root, a read-only one has to be readable by others (mode o+rX). */
  readonly source: string;
  /** Where the command sees it: absolute, and not inside /usr, /etc, /dev, /proc and the like. */
  readonly target: string;
  readonly writable: boolean;
}

export interface SandboxLimits {
  /** From start to end; then every process of the sandbox is killed. */
  readonly wallSeconds: number;
  /** Private writable memory of each process (RLIMIT_DATA). Node.js itself needs about 200. */
  readonly memoryMb: number;
  /** Processor time of each process (RLIMIT_CPU). Default: `wallSeconds`. */
  readonly cpuSeconds?: number;
  /** All writable mounts together, measured twice a second; also the limit of each file. Default 1,024. */
  readonly outputMb?: number;
  /** Processes and threads together (RLIMIT_NPROC). Default 128. */
  readonly processes?: number;
  /** The private /tmp, which is memory. Default 64. */
  readonly tmpMb?: number;
}

/** What a command may reach, through a recording proxy that HTTP_PROXY and the like name; and nothing else. */
export interface SandboxNetwork {
  /** `host:port`. An address that is not public is reached only where it is listed itself, whatever a name leads to. */
  readonly destinations: readonly string[];
  /** Otherwise the host's. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
  readonly limits?: Partial<ProxyLimits>;
}

export interface SandboxRequest {
  /** The program, looked up in the PATH of `env`, and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly mounts: readonly SandboxMount[];
  /** A folder inside the sandbox. */
  readonly cwd: string;
  /** The whole environment of the command, but for PATH where it gives none. Visible in the host's process list: no secrets. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits: SandboxLimits;
  /** Without it there is no network. */
  readonly network?: SandboxNetwork;
  readonly signal?: AbortSignal;
  readonly onOutput?: (chunk: { readonly stream: 'stdout' | 'stderr'; readonly bytes: Buffer }) => void;
  /** A `strace` by which the run is watched: without one, nothing is known of files, processes and privileges. */
  readonly tracer?: string;
  /** The kind to use; otherwise bubblewrap where it works, else unshare. */
  readonly sandbox?: SandboxKind;
}

export interface SandboxResult {
  /** `null` when the run was ended from outside; 128 + n when the command died of signal n. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly ended: 'exited' | 'wall-limit' | 'output-limit';
  /** The last 64 KiB of each, as UTF-8. */
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
  /** What it was seen to do, whatever came of it. */
  readonly observed: Observed;
  /** What went through the proxy. */
  readonly connections: readonly Connection[];
  readonly sandbox: SandboxKind;
}
