import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ZONES } from '../../domain/names.js';
import { giveFolder, giveTree } from './folders.js';
import { claimIds } from './ids.js';
import { onPath } from './on-path.js';

/** Processes of the embedded stack that get an operating-system user of their own. */
export const MEMBERS = [...ZONES, 'vault', 'gateway', 'api', 'model-server'] as const;
export type Member = (typeof MEMBERS)[number];

/** Who may knock at which socket: being in its group is the right to. */
const SOCKET_GROUPS = {
  'vault-create': ['vault', 'intake'],
  'vault-open': ['vault', 'serving'],
  'vault-destroy': ['vault', 'signing'],
  'gateway-admin': ['gateway', 'control', 'serving', 'watch'],
  'api-admin': ['api', 'control'],
  // No zone: whoever administers the host lets an auditor knock.
  'vault-recover': ['vault'],
} as const satisfies Record<string, readonly Member[]>;
export type SocketName = keyof typeof SOCKET_GROUPS;

const OTHERS_SEARCH = 0o001;

/** How the stack separates its processes: by user where it may, otherwise not at all, and it says which. */
export class Users {
  readonly separate: boolean;
  readonly whyNot: string | null;
  /** The first of the ids that no other stack of this host has. */
  readonly #first: number | null;
  readonly #setpriv: string | null = onPath('setpriv');

  constructor(state: string) {
    this.whyNot = whyNotSeparate(state, this.#setpriv);
    this.separate = this.whyNot === null;
    this.#first = this.separate ? claimIds(state) : null;
  }

  uid(member: Member): number | null {
    return this.#first === null ? null : this.#first + MEMBERS.indexOf(member);
  }

  /** Runs a command as a member, in the groups of its sockets, and lets it die with us. */
  command(member: Member | null, command: readonly [string, ...string[]]): [string, ...string[]] {
    if (this.#setpriv === null) return [...command];
    const uid = member === null ? null : this.uid(member);
    // Serving starts model servers as another user: it keeps what that takes, and no other right.
    const identity =
      uid === null || member === null ? [] : ['--reuid', `${uid}`, '--regid', `${uid}`, ...this.#groupsOf(member)];
    const capability = identity.length > 0 && member === 'serving' ? KEEP_SETUID : [];
    return [this.#setpriv, ...identity, ...capability, '--pdeathsig', 'TERM', '--', ...command];
  }

  /** A folder that only its member reads. */
  ownFolder(member: Member, folder: string, mode = 0o700): string {
    const uid = this.uid(member);
    if (uid === null) giveFolder(folder, { uid, gid: null, mode });
    else giveTree(folder, uid, mode);
    return folder;
  }

  /** A folder whose sockets belong to the group of those who may knock: what is made in it takes over its group. */
  socketFolder(owner: Member, name: SocketName, folder: string): string {
    const uid = this.uid(owner);
    if (uid === null) giveFolder(folder, { uid, gid: null, mode: 0o700 });
    else giveFolder(folder, { uid, gid: this.#group(name), mode: 0o2750 });
    return folder;
  }

  #group(name: SocketName): number {
    return (this.#first ?? 0) + MEMBERS.length + Object.keys(SOCKET_GROUPS).indexOf(name);
  }

  #groupsOf(member: Member): string[] {
    const names = Object.keys(SOCKET_GROUPS) as SocketName[];
    const groups = names.filter((name) => (SOCKET_GROUPS[name] as readonly Member[]).includes(member));
    if (groups.length === 0) return ['--clear-groups'];
    return ['--groups', groups.map((name) => String(this.#group(name))).join(',')];
  }
}

const KEPT = '+setuid,+setgid,+setpcap,+kill';
const KEEP_SETUID = ['--inh-caps', KEPT, '--ambient-caps', KEPT];

function whyNotSeparate(state: string, setpriv: string | null): string | null {
  if (process.getuid?.() !== 0) return 'it was not started by root';
  if (setpriv === null) return 'setpriv (util-linux) is not on PATH';
  for (const path of [state, fileURLToPath(import.meta.url), process.execPath]) {
    const closed = ancestors(path).find((folder) => (statSync(folder).mode & OTHERS_SEARCH) === 0);
    if (closed !== undefined) return `other users cannot enter ${closed}`;
  }
  return null;
}

function ancestors(path: string): string[] {
  const folders: string[] = [];
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(folder)) folders.push(folder);
    if (folder === dirname(folder)) return folders;
  }
}
