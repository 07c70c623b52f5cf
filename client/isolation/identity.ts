import { readFileSync } from 'node:fs';
import { MEMBERS, type Member } from '../stack/users.js';
import type { StackDescription } from '../stack/layout.js';

/** What a process runs as, by the word of the system. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** It can become anybody. */
  readonly setsUser: boolean;
}

const CAP_SETUID = 7n;

/** What each member of a running stack runs as: not what whoever asks would be given. `null`: no such process of the stack runs. */
export function identitiesOf({
  pid,
  processes,
}: Pick<StackDescription, 'pid' | 'processes'>): ReadonlyMap<Member, Identity | null> {
  const found = new Map<Member, Identity | null>();
  for (const member of MEMBERS)
    if (member !== 'model-server') found.set(member, identityOf(processes[member] ?? 0, pid));
  return found.set('model-server', modelServer(found));
}

/** Only a child of its supervisor is it: another process may have got its number since. */
function identityOf(pid: number, parent: number): Identity | null {
  const status = readStatus(pid);
  if (status === null) return null;
  const numbers = (name: string): readonly number[] =>
    (status.get(name) ?? '').split(/\s+/).filter(Boolean).map(Number);
  const [uid] = numbers('Uid');
  const [gid] = numbers('Gid');
  if (numbers('PPid')[0] !== parent || uid === undefined || gid === undefined) return null;
  const capabilities = BigInt(`0x${status.get('CapPrm') ?? '0'}`);
  return { uid, gid, groups: numbers('Groups'), setsUser: ((capabilities >> CAP_SETUID) & 1n) === 1n };
}

function readStatus(pid: number): ReadonlyMap<string, string> | null {
  try {
    const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trimEnd().split('\n');
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/** Serving starts it: where every member has its place in the row of a stack's ids, it has its own. */
function modelServer(members: ReadonlyMap<Member, Identity | null>): Identity | null {
  const first = members.get(MEMBERS[0])?.uid ?? 0;
  const inRow = [...members].every(([member, identity]) => identity?.uid === first + MEMBERS.indexOf(member));
  const uid = first + MEMBERS.indexOf('model-server');
  return inRow ? { uid, gid: uid, groups: [], setsUser: false } : null;
}
