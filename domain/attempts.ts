import type { Observable } from './observed.js';

/** A system call of a run, as somebody outside has seen it. */
export interface TracedCall {
  readonly name: string;
  /** Its arguments with nothing between the quotes. */
  readonly text: string;
  /** What it names, and the folder that it says the name starts from. */
  readonly paths: readonly { readonly path: string; readonly base: string | null }[];
  /** The strings inside of its structures. */
  readonly inner: readonly string[];
  readonly result: number | null;
  readonly errno: string | null;
}

/** What of the run's own tells its calls from attempts. */
export interface OwnPlaces {
  /** Where something was mounted for it. */
  readonly mounts: readonly string[];
  /** Where the host's own programs are, that it may run. */
  readonly programs: readonly string[];
  /** Folders that names may start from. */
  readonly folders: ReadonlySet<string>;
  /** The highest process id that the run has been given so far. */
  readonly lastPid: number;
}

export interface Attempt {
  readonly kind: Observable;
  readonly detail: string;
}

/** Those of sockets that stay on the host's kernel, and within the namespace. */
const LOCAL_FAMILIES = ['AF_UNIX', 'AF_LOCAL', 'AF_INET', 'AF_INET6', 'AF_NETLINK', 'AF_ALG', 'AF_UNSPEC'];
const UNDECIDED = ['EINPROGRESS', 'EALREADY', 'EAGAIN', 'EINTR', 'EISCONN'];
const PRIVILEGED =
  'mount umount umount2 pivot_root chroot setns unshare fsopen fsmount fspick open_tree move_mount mount_setattr bpf ' +
  'init_module finit_module delete_module kexec_load kexec_file_load reboot settimeofday clock_settime sethostname ' +
  'setdomainname swapon swapoff iopl ioperm open_by_handle_at syslog acct';
const PRIVILEGED_CALLS = new Set(PRIVILEGED.split(' '));
/** The process is the first number among their arguments. */
const SIGNALS = /^(?:t?kill|tgkill|rt_sigqueueinfo|rt_tgsigqueueinfo|pidfd_open)$/;
const FOREIGN_MEMORY = /^(?:process_vm_(?:readv|writev)|pidfd_getfd|kcmp)$/;
const FORKS = /^(?:fork|vfork|clone3?)$/;

/** What a run has no reason to look for. Nothing of it is in a sandbox. */
const HOST_PLACES = [
  ...['/root', '/home', '/boot', '/host', '/.host', '/run', '/var/run'],
  ...['/etc/shadow', '/etc/shadow-', '/etc/gshadow', '/etc/gshadow-', '/etc/sudoers', '/etc/sudoers.d', '/etc/ssh'],
  ...['/etc/kubernetes', '/var/lib/docker', '/var/lib/containerd', '/var/lib/kubelet', '/var/log', '/var/spool'],
  ...['/proc/kcore', '/proc/kallsyms', '/proc/kmsg', '/proc/keys', '/proc/sysrq-trigger', '/proc/kpagecount'],
  ...['/sys/kernel/debug', '/sys/kernel/tracing', '/sys/kernel/security', '/sys/firmware'],
  ...['/dev/mem', '/dev/kmem', '/dev/port', '/dev/kmsg', '/dev/mapper', '/dev/vsock', '/dev/net/tun'],
];
const DISKS = /^\/dev\/(?:sd|vd|xvd|hd|nvme|loop|dm-)/;
/** What the C library asks of services that it would use where they were. */
const ASKED_BY_LIBRARIES = ['/nscd', '/uuidd', '/systemd/userdb', '/.containerenv'].flatMap((name) => [
  `/run${name}`,
  `/var/run${name}`,
]);
/** What Node.js and Python look for on their way up from where they, or a program, were mounted. */
const LANDMARKS = ['package.json', 'node_modules', 'pyvenv.cfg', 'lib', 'lib64'];

const WRITES =
  /^(?:creat|mkdir|rmdir|unlink|rename|link|symlink|mknod|chmod|fchmodat|l?chown|fchownat|truncate|utime|futimesat|l?setxattr|l?removexattr)/;
const OPENS_TO_WRITE = /\bO_(?:WRONLY|RDWR|CREAT|TRUNC)\b/;
const DENIED = ['EROFS', 'EACCES', 'EPERM'];
const WRITABLE = ['/tmp', '/dev', '/proc/self', '/proc/thread-self'];

/** What a call was an attempt at; `null`: nothing that counts. */
export function attemptOf(call: TracedCall, own: OwnPlaces): Attempt | null {
  return network(call) ?? privileges(call) ?? processes(call, own) ?? paths(call, own);
}

function network({ name, text, inner, errno }: TracedCall): Attempt | null {
  if (name === 'socket') {
    const family = /\bAF_\w+/.exec(text)?.[0] ?? text;
    if (!LOCAL_FAMILIES.includes(family)) return { kind: 'network', detail: `a socket of ${family}` };
    const isRaw = /\bSOCK_(?:RAW|PACKET)\b/.test(text) && family !== 'AF_NETLINK';
    return isRaw && errno !== null ? { kind: 'network', detail: `a raw socket of ${family}` } : null;
  }
  if (name !== 'connect') return null;
  const family = /sa_family=(AF_\w+)/.exec(text)?.[1] ?? '';
  const [address = ''] = inner;
  if (family === 'AF_INET' || family === 'AF_INET6') {
    if (errno === null || UNDECIDED.includes(errno)) return null;
    const port = /htons\((\d+)\)/.exec(text)?.[1] ?? '?';
    return { kind: 'network', detail: family === 'AF_INET' ? `${address}:${port}` : `[${address}]:${port}` };
  }
  if (family === 'AF_UNIX' && text.includes('@"') && errno !== null) return { kind: 'network', detail: `@${address}` };
  if (family === '' || LOCAL_FAMILIES.includes(family)) return null;
  return { kind: 'network', detail: family };
}

function privileges({ name, text, errno }: TracedCall): Attempt | null {
  const namespaces = /\bCLONE_NEW\w+/.exec(text)?.[0];
  if (namespaces !== undefined && (FORKS.test(name) || name === 'unshare' || name === 'setns'))
    return { kind: 'privileges', detail: `${name} ${namespaces}` };
  if (PRIVILEGED_CALLS.has(name) && errno !== null) return { kind: 'privileges', detail: name };
  // Both would take calls out of the sight of whoever watches.
  if (FORKS.test(name) && text.includes('CLONE_UNTRACED')) return { kind: 'privileges', detail: `${name} untraced` };
  if (name === 'seccomp' && text.includes('NEW_LISTENER')) return { kind: 'privileges', detail: 'seccomp listener' };
  return null;
}

function processes({ name, text, errno }: TracedCall, { lastPid }: OwnPlaces): Attempt | null {
  if (name === 'ptrace') return { kind: 'processes', detail: 'ptrace' };
  if (FOREIGN_MEMORY.test(name) && errno !== null) return { kind: 'processes', detail: name };
  if (!SIGNALS.test(name)) return null;
  const target = Math.abs(Number(/-?\d+/.exec(text)?.[0]));
  const isForeign = target === 1 || (errno !== null && target > lastPid);
  return isForeign ? { kind: 'processes', detail: `${name} ${target}` } : null;
}

function paths(call: TracedCall, own: OwnPlaces): Attempt | null {
  for (const path of pathsOf(call, own.folders)) {
    const pid = Number(/^\/proc\/(\d+)(?:\/|$)/.exec(path)?.[1]);
    if (pid === 1 || (pid > own.lastPid && call.errno !== null)) return { kind: 'processes', detail: path };
    if (isOfHost(path, own) || isLinkTowards(call, path)) return { kind: 'files', detail: path };
    if (writes(call) && isOutside(path, own.mounts)) return { kind: 'files', detail: `to change ${path}` };
  }
  return null;
}

/** Every absolute path that is meant, or may be meant where a name starts from an unknown folder. */
function pathsOf(call: TracedCall, folders: ReadonlySet<string>): string[] {
  return namesIn(call)
    .flatMap(({ path, base }) => {
      if (path.startsWith('/')) return [path];
      if (base !== null) return base.startsWith('/') ? [`${base}/${path}`] : [];
      return [...folders].map((folder) => `${folder}/${path}`);
    })
    .map(plainPath);
}

function namesIn({ name, text, paths: named, inner, errno }: TracedCall): TracedCall['paths'] {
  if (name === 'connect')
    return text.includes('AF_UNIX') && errno !== null ? inner.map((path) => ({ path, base: null })) : [];
  // What these answer stands among their arguments.
  if (name === 'getcwd') return [];
  if (name.startsWith('readlink')) return named.slice(0, 1);
  const [target, link] = named;
  if (!name.startsWith('symlink') || target === undefined || link === undefined) return named;
  const place = link.path.startsWith('/') ? link.path : `${link.base ?? ''}/${link.path}`;
  return [{ ...target, base: `${place}/..` }, link];
}

/** Without `.` and `..`, and without the detour over a process's root. */
export function plainPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const plain = `/${parts.join('/')}`;
  const beyond = /^\/proc\/(?:self|thread-self|(?!1\/)\d+)\/(?:task\/\d+\/)?root(\/.*)$/.exec(plain)?.[1];
  return beyond === undefined ? plain : plainPath(beyond);
}

function isOfHost(path: string, { mounts, programs }: OwnPlaces): boolean {
  const own = [...mounts, ...programs];
  if (!DISKS.test(path) && !HOST_PLACES.some((place) => isWithin(path, place))) return false;
  if (own.some((mount) => isWithin(path, mount) || isWithin(mount, path))) return false;
  if (ASKED_BY_LIBRARIES.some((place) => isWithin(path, place))) return false;
  return !own.some((mount) => LANDMARKS.some((name) => isBesideTheWay(path, mount, name)));
}

/** Through a link to a folder above them, the host's places have other names. */
function isLinkTowards({ name }: TracedCall, path: string): boolean {
  return name.startsWith('symlink') && HOST_PLACES.some((place) => isWithin(place, path));
}

/** Whether a path is, or lies in, something of this name in a folder above the mount. */
function isBesideTheWay(path: string, mount: string, name: string): boolean {
  const at = `${path}/`.indexOf(`/${name}/`);
  return at > 0 && isWithin(mount, path.slice(0, at));
}

function writes({ name, text, errno }: TracedCall): boolean {
  if (errno === null || !DENIED.includes(errno)) return false;
  return WRITES.test(name) || (name.startsWith('open') && OPENS_TO_WRITE.test(text));
}

function isOutside(path: string, mounts: readonly string[]): boolean {
  // Python keeps what it has compiled beside the sources, and goes on where it cannot.
  if (path.includes('/__pycache__')) return false;
  return ![...WRITABLE, ...mounts].some((place) => isWithin(path, place)) && !/^\/proc\/\d+\//.test(path);
}

/** Whether a plain path is the folder, or lies in it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}
