import { existsSync, lstatSync, readdirSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { isWithin } from '../../domain/attempts.js';
import { CustodyError } from '../../domain/errors.js';
import type { SandboxMount, SandboxRequest } from './port.js';

/** One step in building the file tree that the command sees, in order. Both kinds of sandbox build from the same steps. */
export type LayoutStep =
  | { readonly do: 'read-only' | 'writable' | 'device'; readonly source: string; readonly target: string }
  | { readonly do: 'link'; readonly source: string; readonly target: string }
  | { readonly do: 'proc'; readonly target: string }
  | { readonly do: 'tmp'; readonly bytes: number; readonly target: string };

const SYSTEM_FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const SYSTEM_FILES = ['/etc/ld.so.cache', '/etc/alternatives'];
const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom'];
const RESERVED = [...SYSTEM_FOLDERS, '/etc', '/dev', '/proc', '/sys'];
const DEFAULT_TMP_MB = 64;
const MEGABYTE = 1024 * 1024;
const OTHERS_READ = 0o004;
const OTHERS_SEARCH = 0o001;

/**
 * The whole tree: programs and libraries of the host read-only, this Node.js, a private /tmp and /proc, five devices, the
 * given mounts, and nothing else. CONFIG_INVALID or INPUT_MISSING names the mount that cannot be.
 */
export function sandboxLayout(request: SandboxRequest, asRoot: boolean): LayoutStep[] {
  return [
    ...SYSTEM_FOLDERS.flatMap(systemStep),
    ...SYSTEM_FILES.flatMap(systemStep),
    ...nodeSteps(),
    ...DEVICES.map((path): LayoutStep => ({ do: 'device', source: path, target: path })),
    { do: 'link', source: '/proc/self/fd', target: '/dev/fd' },
    { do: 'proc', target: '/proc' },
    { do: 'tmp', target: '/tmp', bytes: (request.limits.tmpMb ?? DEFAULT_TMP_MB) * MEGABYTE },
    ...request.mounts.map((mount) => mountStep(mount, asRoot)),
  ];
}

/** On most systems /bin, /lib and the like are links into /usr. */
function systemStep(path: string): LayoutStep[] {
  if (!existsSync(path)) return [];
  if (lstatSync(path).isSymbolicLink()) return [{ do: 'link', source: readlinkSync(path), target: path }];
  return [{ do: 'read-only', source: path, target: path }];
}

/** The running Node.js, wherever it was installed, with its shared library where it is built with one. */
function nodeSteps(): LayoutStep[] {
  const executable = realpathSync(process.execPath);
  const libraries = join(dirname(dirname(executable)), 'lib');
  const hasLibrary = existsSync(libraries) && readdirSync(libraries).some((name) => name.startsWith('libnode.'));
  return [executable, ...(hasLibrary ? [libraries] : [])]
    .filter((path) => !SYSTEM_FOLDERS.some((folder) => isWithin(path, folder)))
    .map((path) => ({ do: 'read-only', source: path, target: path }));
}

function mountStep({ source, target, writable }: SandboxMount, asRoot: boolean): LayoutStep {
  if (!posix.isAbsolute(target) || posix.normalize(target) !== target || target === '/' || target.endsWith('/')) {
    throw invalid(target, 'the target has to be an absolute path without "..", other than "/"');
  }
  const reserved = RESERVED.find((folder) => isWithin(target, folder));
  if (reserved !== undefined) throw invalid(target, `the target lies in ${reserved}, which belongs to the sandbox`);
  const { path, stats } = resolveSource(source);
  if (!stats.isFile() && !stats.isDirectory()) throw invalid(target, `${path} is neither a file nor a folder`);
  const needed = stats.isDirectory() ? OTHERS_READ | OTHERS_SEARCH : OTHERS_READ;
  if (asRoot && !writable && (stats.mode & needed) !== needed) {
    throw invalid(target, `${path} is not readable for the sandbox's own user: run chmod -R o+rX on it`);
  }
  return { do: writable ? 'writable' : 'read-only', source: path, target };
}

function resolveSource(source: string): { path: string; stats: Stats } {
  try {
    const path = realpathSync(source);
    return { path, stats: statSync(path) };
  } catch (cause) {
    throw new CustodyError(
      'INPUT_MISSING',
      `cannot mount ${source} into the sandbox: it is not there or not readable`,
      {
        details: { source },
        cause,
      },
    );
  }
}

function invalid(target: string, problem: string): CustodyError {
  return new CustodyError('CONFIG_INVALID', `cannot mount at ${target} in the sandbox: ${problem}`, {
    details: { target },
  });
}
