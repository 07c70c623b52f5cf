import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { CustodyError } from '../../domain/errors.js';
import type { LayoutStep } from './layout.js';
import type { SandboxLimits, SandboxRequest } from './port.js';

/** Who runs inside: a user id of its own when the host's process is root, otherwise its own user without capabilities. */
export type SandboxUser = { readonly uid: number } | null;

const MEGABYTE = 1024 * 1024;
export const DEFAULT_OUTPUT_MB = 1024;
const DEFAULT_PROCESSES = 128;
const OPEN_FILES = 1024;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Nothing has this name. Whoever traces sees it asked for when the sandbox stands, just before the command is run. */
export const BEGIN = '/custody-begin';
/**
 * Says on descriptor 3 that the sandbox stands, and once it may go on runs the command as a child, so that somebody reaps its
 * orphans. Says when that has ended, and takes down the sandbox once whoever is outside has looked at what was left behind.
 */
const START = [
  'echo ready >&3; read -r go <&3',
  `[ -e ${BEGIN} ] || "$@" 3>&-`,
  'code=$?; echo ended >&3; read -r go <&3; exit $code',
].join('\n');

/** Where the proxy is inside: in a namespace that is new, the port is free. */
const PROXY_PORT = 3128;
/** Makes the socket inside, hands it to whoever is outside, and ends. Nothing of the run is there yet. */
const LISTENER = `
const server = require('node:net').createServer();
server.once('error', (error) => { console.error('the proxy: ' + error.message); process.exit(70); });
server.listen({ host: '127.0.0.1', port: ${PROXY_PORT}, backlog: 511 }, () => process.send('listening', server));
process.once('message', () => process.exit(0));
process.once('disconnect', () => process.exit(70));
`;
/** Arguments: Node.js, what it runs, the command, which gets no way to whoever is outside. */
const LISTEN = 'node=$1 listener=$2; shift 2; "$node" -e "$listener" || exit 70; exec "$@" 5>&-';

/**
 * Where the host lets everybody make user namespaces, takes the last one there can be, so that nobody gets capabilities, or
 * another network namespace, in one of his own. Where it lets nobody, there is nothing to take.
 */
const LAST_NAMESPACE = `
take='unshare --user --map-current-user --keep-caps'
$take true 2>/dev/null || exec "$@"
exec $take sh -c 'echo 0 2>/dev/null > /proc/sys/user/max_user_namespaces; exec "$@"' sh "$@"
`;

/**
 * Builds the tree under a fresh tmpfs, where nobody but this sandbox sees it; then becomes the command. Arguments: root, number
 * of steps, three arguments a step, the command.
 */
const BUILD_TREE = `
set -eu
umask 022
root=$1 steps=$2
shift 2
mount -t tmpfs -o nosuid,nodev,mode=0755,size=1m custody "$root"
place() {
  if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "\${2%/*}"; : > "$2"; fi
}
while [ "$steps" -gt 0 ]; do
  case $1 in
    read-only) place "$2" "$root$3"; mount -o bind,ro,nosuid,nodev "$2" "$root$3" ;;
    writable) place "$2" "$root$3"; mount -o bind,rw,nosuid,nodev "$2" "$root$3" ;;
    device) place "$2" "$root$3"; mount --bind "$2" "$root$3" ;;
    link) mkdir -p "$root\${3%/*}"; ln -s "$2" "$root$3" ;;
    proc) mkdir -p "$root$3" ;;
    tmp) mkdir -p "$root$3"; mount -t tmpfs -o "nosuid,nodev,mode=1777,size=$2" custody "$root$3" ;;
    *) echo "unknown step $1" >&2; exit 70 ;;
  esac
  shift 3
  steps=$((steps - 1))
done
# As bubblewrap does. Without the tool for it, IPv6 fails before anything is counted.
ip link set lo up 2>/dev/null || :
exec "$@"
`;

/**
 * Makes the tree the root, so that nothing of the host remains reachable, with the processes of its own; then becomes the
 * command. Whoever traces it stays with the host's root. Arguments: root, cwd, the command.
 */
const ENTER_TREE = `
set -eu
root=$1 cwd=$2
shift 2
mount -t proc -o nosuid,nodev,noexec custody "$root/proc"
mkdir "$root/.host"
cd "$root"
pivot_root . .host
cd /
umount -l /.host
rmdir /.host
mount -o remount,bind,ro,nosuid,nodev /
cd "$cwd"
exec "$@"
`;

export function bubblewrapCommand(request: SandboxRequest, steps: readonly LayoutStep[], user: SandboxUser): string[] {
  return [
    'bwrap',
    ...['--unshare-net', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    '--die-with-parent',
    ...(user === null
      ? ['--unshare-user', '--disable-userns', '--cap-drop', 'ALL']
      : ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((capability) => ['--cap-add', capability])),
    ...parentFolders(steps).flatMap((folder) => ['--perms', '0755', '--dir', folder]),
    ...steps.flatMap(bubblewrapArguments),
    // It covers what is under /proc/sys, and the sandbox has a limit of its own to set there.
    ...(user === null ? [] : ['--bind', '/proc/sys/user', '/proc/sys/user']),
    ...['--remount-ro', '/', '--chdir', request.cwd, '--'],
    ...(user === null ? [] : dropPrivileges(user)),
    ...insideCommand(request),
  ];
}

export function unshareCommand(
  request: SandboxRequest,
  steps: readonly LayoutStep[],
  user: SandboxUser,
  root: string,
  traced: (command: readonly string[]) => readonly string[],
): string[] {
  const build = user === null ? `echo 0 > /proc/sys/user/max_user_namespaces\n${BUILD_TREE}` : BUILD_TREE;
  return [
    ...['setpriv', '--pdeathsig', 'KILL', 'unshare'],
    ...['--mount', '--net', '--ipc', '--uts', '--cgroup'],
    ...(user === null ? ['--user', '--map-root-user'] : []),
    ...['sh', '-c', build, 'custody-sandbox', root, String(steps.length)],
    ...steps.flatMap(scriptArguments),
    // Tracing the building, too, would take longer than the building does.
    ...traced([
      ...['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child=KILL'],
      ...['sh', '-c', ENTER_TREE, 'custody-sandbox', root, request.cwd],
      ...dropPrivileges(user),
      ...insideCommand(request),
    ]),
  ];
}

/** Those that bubblewrap would otherwise make for itself alone. Folders inside a mount belong to the mount. */
function parentFolders(steps: readonly LayoutStep[]): string[] {
  const mounts = steps.flatMap((step) => (step.do === 'link' ? [] : [step.target]));
  const parents = new Set<string>();
  for (const { target } of steps) {
    for (let folder = dirname(target); folder !== '/'; folder = dirname(folder)) {
      if (!mounts.some((mount) => folder === mount || folder.startsWith(`${mount}/`))) parents.add(folder);
    }
  }
  return [...parents].sort();
}

function bubblewrapArguments(step: LayoutStep): string[] {
  switch (step.do) {
    case 'read-only':
      return ['--ro-bind', step.source, step.target];
    case 'writable':
      return ['--bind', step.source, step.target];
    case 'device':
      return ['--dev-bind', step.source, step.target];
    case 'link':
      return ['--symlink', step.source, step.target];
    case 'proc':
      return ['--proc', step.target];
    case 'tmp':
      return ['--perms', '1777', '--size', String(step.bytes), '--tmpfs', step.target];
  }
}

function scriptArguments(step: LayoutStep): string[] {
  switch (step.do) {
    case 'read-only':
    case 'writable':
    case 'device':
    case 'link':
      return [step.do, step.source, step.target];
    case 'proc':
      return [step.do, '', step.target];
    case 'tmp':
      return [step.do, String(step.bytes), step.target];
  }
}

/** `--pdeathsig` again, because changing the user clears it. */
function dropPrivileges(user: SandboxUser): string[] {
  const capabilities = ['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--no-new-privs'];
  const last = ['setpriv', ...capabilities, '--pdeathsig', 'KILL', '--'];
  if (user === null) return last;
  const identity = ['--reuid', String(user.uid), '--regid', String(user.uid), '--clear-groups'];
  return ['setpriv', ...identity, '--', 'sh', '-c', LAST_NAMESPACE, 'sh', ...last];
}

/** What both kinds run once the tree stands. */
function insideCommand({ command, env, limits, network }: SandboxRequest): string[] {
  const proxied = network === undefined ? {} : proxyVariables();
  const path = `${dirname(process.execPath)}:/usr/bin:/bin`;
  const environment = Object.entries({ PATH: path, ...proxied, ...env }).map(([name, value]) => {
    if (!ENV_NAME.test(name)) {
      throw new CustodyError('CONFIG_INVALID', `${JSON.stringify(name)} cannot be the name of an environment variable`);
    }
    return `${name}=${value}`;
  });
  return [
    ...(network === undefined ? [] : ['sh', '-c', LISTEN, 'sh', realpathSync(process.execPath), LISTENER]),
    ...['prlimit', ...resourceLimits(limits), '--', 'env', '-i', ...environment, 'sh', '-c', START, 'sh', ...command],
  ];
}

/** What programs go by; a server of the run's own is reached without. */
function proxyVariables(): Record<string, string> {
  const [proxy, none] = [`http://127.0.0.1:${PROXY_PORT}`, 'localhost,127.0.0.1,::1'];
  const plain = { HTTP_PROXY: proxy, http_proxy: proxy, NO_PROXY: none, no_proxy: none };
  return { ...plain, HTTPS_PROXY: proxy, https_proxy: proxy };
}

function resourceLimits(limits: SandboxLimits): string[] {
  return [
    '--core=0',
    `--nofile=${OPEN_FILES}`,
    `--nproc=${limits.processes ?? DEFAULT_PROCESSES}`,
    `--data=${limits.memoryMb * MEGABYTE}`,
    `--fsize=${(limits.outputMb ?? DEFAULT_OUTPUT_MB) * MEGABYTE}`,
    `--cpu=${limits.cpuSeconds ?? limits.wallSeconds}`,
  ];
}
