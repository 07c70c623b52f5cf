import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { EMBEDDED_FOLDERS } from '../../adapters/object-store/embedded.js';
import { onPath } from '../stack/on-path.js';
import type { Layout, StackDescription } from '../stack/layout.js';
import type { Member } from '../stack/users.js';
import type { Cell } from './cell.js';
import { identitiesOf, type Identity } from './identity.js';

type Tried = Omit<Cell, 'of' | 'on'>;
type Found = Pick<Cell, 'state' | 'how'>;

/** What of a stack's description and folder this needs. */
export interface Host {
  readonly layout: Layout;
  readonly description: Pick<StackDescription, 'environment' | 'pid' | 'processes'>;
}

const SERVICE = 'files and sockets';

/**
 * What the user that each process of `from` really runs as can open of `to`: keys, configurations, secrets, what store, vault and
 * Temporal keep, and the sockets of vault, gateway and api. A user that runs both is none of its own.
 */
export async function tryUsers(from: Host, to: Host): Promise<readonly Tried[]> {
  const own = identitiesOf(from.description);
  const known = [...own.values()].filter((identity) => identity !== null);
  const [first, ...more] = known;
  const { environment } = from.description;
  if (first !== undefined && more.length > 0 && more.every(({ uid }) => uid === first.uid))
    return [
      {
        ...{ service: SERVICE, credential: 'users of the zones', state: 'accepted' },
        how: `all processes of ${environment} on this host are one user, ${first.uid}`,
      },
    ];
  const others = identitiesOf(to.description);
  const places = placesOf(to.layout);
  const cells: Tried[] = [];
  for (const [member, identity] of own) {
    const credential = `user of ${member}`;
    const found = await tryUser(identity, { environment, others, on: to.description.environment, places });
    const caveat = identity?.setsUser === true ? { caveat: BECOMES_ANYBODY } : {};
    cells.push({ service: SERVICE, credential, ...found, ...caveat });
  }
  return cells;
}

const BECOMES_ANYBODY =
  'it may start processes as another user, and so whoever breaks into it can become every user of this host. Where that matters, give each environment a host of its own';

interface Target {
  readonly environment: string;
  readonly on: string;
  readonly others: ReadonlyMap<Member, Identity | null>;
  readonly places: readonly string[];
}

async function tryUser(identity: Identity | null, { environment, on, others, places }: Target): Promise<Found> {
  if (identity === null) return { state: 'unknown', how: `no such process of ${environment} runs` };
  const { uid } = identity;
  const same = [...others].find(([, other]) => other?.uid === uid);
  if (same !== undefined) return { state: 'accepted', how: `it is the user ${uid}, as ${same[0]} of ${on} is` };
  const setpriv = onPath('setpriv');
  if (process.getuid?.() !== 0 || setpriv === null)
    return { state: 'unknown', how: 'only root, with setpriv (util-linux) on PATH, can try as another user' };
  const open = await openTo(setpriv, identity, places);
  if (open.length === 0)
    return { state: 'refused', how: `as user ${uid}, none of ${places.length} can be read or written` };
  return { state: 'accepted', how: `it can open ${open.slice(0, 3).join(', ')}${open.length > 3 ? ' …' : ''}` };
}

const SCRIPT = 'while IFS= read -r file; do if [ -r "$file" ] || [ -w "$file" ]; then printf "%s\\n" "$file"; fi; done';

async function openTo(
  setpriv: string,
  { uid, gid, groups }: Identity,
  places: readonly string[],
): Promise<readonly string[]> {
  const further = groups.length === 0 ? ['--clear-groups'] : ['--groups', groups.join(',')];
  const as = ['--reuid', `${uid}`, '--regid', `${gid}`, ...further, '--pdeathsig', 'TERM'];
  // By its standard input: what a vault keeps is too much for a command line.
  const { stdout } = await execa(setpriv, [...as, '--', '/bin/sh', '-c', SCRIPT], { input: places.join('\n') + '\n' });
  return stdout.split('\n').filter((line) => line !== '');
}

function placesOf(layout: Layout): readonly string[] {
  const under = (folder: string, ending: RegExp): string[] =>
    readdirSync(layout.path(folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => ending.test(name))
      .map((name) => join(layout.path(folder), name));
  return [
    ...under('zones', /^[^/]+\/(config\.json|[^/]*\.pem)$/),
    // The keys of all blobs.
    ...under('zones', /^vault\/state(\/|$)/),
    ...under('keys', /./),
    ...under('sockets', /\.sock$/),
    layout.path('store'),
    ...EMBEDDED_FOLDERS.map((name) => layout.path('store', name)),
    ...under('store/accounts', /./),
    layout.path('temporal'),
    ...under('temporal', /./),
    ...['store-secrets.json', 'stack.json'].map((name) => layout.path(name)),
  ];
}
