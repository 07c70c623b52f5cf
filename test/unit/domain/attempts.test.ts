import { expect, test } from 'vitest';
import { attemptOf, plainPath, type OwnPlaces } from '../../../domain/attempts.js';
import { attemptsIn, observedIn, OBSERVABLES, sayObserved } from '../../../domain/observed.js';
import { readTracedCall, readTracedSignal } from '../../../formats/strace.js';

const own: OwnPlaces = {
  mounts: ['/input/data', '/output', '/home/ann/project'],
  programs: ['/usr', '/bin', '/root/.nvm/bin/node'],
  folders: new Set(['/tmp']),
  lastPid: 9,
};
const judge = (line: string, more: Partial<OwnPlaces> = {}): string | null => {
  const call = readTracedCall(line);
  if (call === null) return 'no call';
  const attempt = attemptOf(call, { ...own, ...more });
  return attempt === null ? null : `${attempt.kind}: ${attempt.detail}`;
};

test.each([
  [
    '[pid 7] openat(AT_FDCWD</tmp>, "/etc/shadow", O_RDONLY) = -1 ENOENT (No such file or directory)',
    'files: /etc/shadow',
  ],
  ['open("../etc/shadow", O_RDONLY) = -1 ENOENT (x)', 'files: /etc/shadow'],
  ['openat(3</etc>, "shadow", O_RDONLY) = -1 ENOENT (x)', 'files: /etc/shadow'],
  ['access("/home/ann/.ssh", F_OK) = -1 ENOENT (x)', 'files: /home/ann/.ssh'],
  ['newfstatat(AT_FDCWD</tmp>, "/root/.ssh", 0x7ff, 0) = -1 ENOENT (x)', 'files: /root/.ssh'],
  ['execve("/root/bin/x", ["x", "/etc/shadow"], 0x7 /* 3 vars */) = -1 ENOENT (x)', 'files: /root/bin/x'],
  ['symlink("../../root", "/output/a/b") = 0', 'files: /root'],
  ['symlinkat("..", 5</tmp>, "up") = 0', 'files: /'],
  ['mkdir("/opt/x", 0777) = -1 EROFS (x)', 'files: to change /opt/x'],
  ['renameat2(AT_FDCWD</tmp>, "a", AT_FDCWD</tmp>, "/usr/a", 0) = -1 EROFS (x)', 'files: to change /usr/a'],
  [
    'connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="/run/docker.sock"}, 110) = -1 ENOENT (x)',
    'files: /run/docker.sock',
  ],
  ['openat(AT_FDCWD</tmp>, "/proc/1/maps", O_RDONLY) = 3</proc/1/maps>', 'processes: /proc/1/maps'],
  ['openat(AT_FDCWD</tmp>, "/proc/10/maps", O_RDONLY) = -1 ENOENT (x)', 'processes: /proc/10/maps'],
  ['kill(-1, SIGKILL) = 0', 'processes: kill 1'],
  ['tgkill(400, 400, SIGKILL) = -1 ESRCH (x)', 'processes: tgkill 400'],
  ['ptrace(PTRACE_ATTACH, 4) = -1 EPERM (x)', 'processes: ptrace'],
  ['clone(child_stack=NULL, flags=CLONE_NEWUSER|SIGCHLD) = -1 ENOSPC (x)', 'privileges: clone CLONE_NEWUSER'],
  ['clone3({flags=CLONE_UNTRACED, exit_signal=SIGCHLD}, 88) = 12', 'privileges: clone3 untraced'],
  [
    'seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, {len=4, filter=0x1}) = 5',
    'privileges: seccomp listener',
  ],
  ['mount("x", "/tmp/m", "tmpfs", 0, NULL) = -1 EPERM (x)', 'privileges: mount'],
  ['socket(AF_VSOCK, SOCK_STREAM, 0) = 4<socket:[1]>', 'network: a socket of AF_VSOCK'],
  ['socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) = -1 EPERM (x)', 'network: a raw socket of AF_INET'],
  [
    'connect(4<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("1.2.3.4")}, 16) = -1 ENETUNREACH (x)',
    'network: 1.2.3.4:80',
  ],
  ['connect(4<socket:[1]>, {sa_family=AF_UNIX, sun_path=@"host"}, 7) = -1 ECONNREFUSED (x)', 'network: @host'],
])('attack: %s', (line, what) => {
  expect(judge(line)).toBe(what);
});

test.each([
  'openat(AT_FDCWD</tmp>, "/etc/passwd", O_RDONLY|O_CLOEXEC) = -1 ENOENT (x)',
  'connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT (x)',
  'connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (x)',
  'openat(AT_FDCWD</tmp>, "/sys/devices/system/cpu/online", O_RDONLY) = -1 ENOENT (x)',
  'openat(AT_FDCWD</tmp>, "/home/ann/project/a", O_RDONLY) = -1 ENOENT (x)',
  'newfstatat(AT_FDCWD</tmp>, "/home/ann/package.json", 0x7ff, 0) = -1 ENOENT (x)',
  'newfstatat(AT_FDCWD</tmp>, "/root/.nvm/pyvenv.cfg", 0x7ff, 0) = -1 ENOENT (x)',
  'lstat("/home/ann", 0x7ff) = 0',
  'readlink("/proc/self/exe", "/root/elsewhere/node", 4096) = 20',
  'openat(AT_FDCWD</tmp>, "/usr/lib/python3/__pycache__/os.pyc.1", O_WRONLY|O_CREAT|O_EXCL, 0644) = -1 EROFS (x)',
  'openat(AT_FDCWD</tmp>, "/input/data/db", O_RDWR) = -1 EROFS (x)',
  'mkdir("/dev/shm", 0777) = -1 EROFS (x)',
  'openat(AT_FDCWD</tmp>, "/proc/self/status", O_RDONLY) = 3</proc/5/status>',
  'openat(AT_FDCWD</tmp>, "/proc/7/stat", O_RDONLY) = -1 ENOENT (x)',
  'kill(8, 0) = -1 ESRCH (x)',
  'clone(child_stack=NULL, flags=CLONE_VM|CLONE_FS|SIGCHLD) = 9',
  'symlink("weights-2.bin", "/output/latest") = 0',
  'socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 3<socket:[1]>',
])('is nothing: %s', (line) => {
  expect(judge(line)).toBeNull();
});

test('attack: what a program chooses cannot look like anything else', () => {
  const lie = String.raw`a\76b\", \"/root\", x) = 0\n[pid 1] open(\"/root\") = 0`;
  expect(readTracedCall(`openat(AT_FDCWD</tmp/${lie}>, "${lie}", O_RDONLY) = -1 ENOENT (x)`)).toEqual({
    name: 'openat',
    text: 'AT_FDCWD, "", O_RDONLY',
    paths: [expect.objectContaining({ path: 'a>b", "/root", x) = 0\n[pid 1] open("/root") = 0' })],
    inner: [],
    result: -1,
    errno: 'ENOENT',
  });
  for (const line of [
    '',
    'strace: x',
    '+++ killed by SIGKILL +++',
    'open("/etc/shadow',
    'open("/etc/shadow", O_RDONLY <unfinished ...>',
  ])
    expect(readTracedCall(line)).toBeNull();
  expect(readTracedSignal('[pid 12] --- SIGXFSZ {si_signo=SIGXFSZ} ---')).toBe('SIGXFSZ');
  expect(readTracedSignal('open("--- SIGXFSZ {", O_RDONLY) = 0')).toBeNull();
});

test('a path is what it leads to', () => {
  expect(plainPath('/a/../../b/./c//d/')).toBe('/b/c/d');
  expect(plainPath('/proc/self/root/proc/5/root/etc')).toBe('/etc');
  expect(plainPath('/proc/1/root/etc')).toBe('/proc/1/root/etc');
});

test('one line says what was tried, what else was seen, and what nobody looked for', () => {
  const network = { kind: 'network', count: 3, detail: '192.0.2.1:443' } as const;
  const left = { kind: 'left-behind', count: 1, detail: 'sleep' } as const;
  const observed = { watched: OBSERVABLES.filter((kind) => kind !== 'files'), seen: [network, left] };
  expect(attemptsIn(observed)).toEqual([network]);
  expect(sayObserved(observed)).toBe(
    'it tried what it may not; network 3 × (192.0.2.1:443); left-behind 1 × (sleep); not watched: files',
  );
  expect(observedIn({ observed })).toEqual(observed);
});

test.each([
  undefined,
  {},
  { observed: null },
  { observed: { watched: 'all', seen: [] } },
  { observed: { watched: ['x'], seen: [] } },
])('attack: %j is no account of a run', (parameters) => {
  expect(observedIn(parameters)).toBeNull();
});
