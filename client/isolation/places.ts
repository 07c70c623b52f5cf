import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openBucket } from '../../adapters/object-store/s3.js';
import { connectTemporal } from '../../adapters/temporal.js';
import { CustodyError } from '../../domain/errors.js';
import { bucketNames } from '../../domain/store-keys.js';
import { MEMBERS, Users } from '../stack/users.js';
import { refused, type Cell } from './cell.js';
import type { Environment } from './environment.js';

type Tried = Omit<Cell, 'of' | 'on'>;

const run = promisify(execFile);
// Of gRPC.
const NOT_FOUND = 5;

/** Every account of one store on the other: it must not even list. */
export async function tryStore(from: Environment, to: Environment): Promise<readonly Tried[]> {
  const { endpoint, region } = to.reading.description.store;
  const buckets = Object.values(bucketNames(to.name));
  const cells: Tried[] = [];
  for (const [accessKey, secretKey] of Object.entries(from.accounts)) {
    const found = await Promise.all(
      buckets.map((name) =>
        refused(['NOT_AUTHORISED'], async () => {
          const bucket = openBucket({ endpoint, region, accessKey, secretKey }, name);
          for await (const key of bucket.list('', { limit: 1 })) return `it lists ${name}: ${key}`;
          return `it lists ${name}`;
        }),
      ),
    );
    const worst = found.find(({ state }) => state === 'accepted') ?? found.find(({ state }) => state === 'unknown');
    const [first = { state: 'unknown' as const, how: 'nothing was tried' }] = found;
    cells.push({ service: 'store', credential: `account ${accessKey}`, ...(worst ?? first) });
  }
  return cells;
}

/** A worker of `from` that is turned to the other server finds no namespace of its own there. */
export async function tryNamespace(from: Environment, to: Environment): Promise<Tried> {
  const { address } = to.reading.description.temporal;
  const { namespace } = from.reading.description.temporal;
  const found = await refused(['NOT_AUTHORISED'], async () => {
    const connection = await connectTemporal(address, 5_000).catch((cause: unknown) => {
      throw new CustodyError('TEMPORAL_UNAVAILABLE', `Temporal does not answer at ${address}`, { cause });
    });
    try {
      await connection.workflowService.describeNamespace({ namespace });
      return `the server of ${to.name} has the namespace ${namespace}, too`;
    } catch (cause) {
      if ((cause as { readonly code?: number }).code !== NOT_FOUND) throw cause;
      throw new CustodyError('NOT_AUTHORISED', `there is no namespace ${namespace} at ${address}`, { cause });
    } finally {
      await connection.close();
    }
  });
  return { service: 'temporal', credential: `namespace ${namespace}`, ...found };
}

/** What each zone's user of `from` can open of `to`: keys, configurations, secrets, and the sockets of vault, gateway and api. */
export async function tryUsers(from: Environment, to: Environment): Promise<readonly Tried[]> {
  const users = new Users(from.reading.layout.state);
  if (!users.separate)
    return [
      {
        ...{ service: 'files and sockets', credential: 'users of the zones', state: 'accepted' },
        how: `all processes on this host are one user: ${users.whyNot ?? ''}`,
      },
    ];
  const closed = placesOf(to);
  const cells: Tried[] = [];
  for (const member of MEMBERS) {
    const script = 'for file; do if [ -r "$file" ] || [ -w "$file" ]; then printf "%s\\n" "$file"; fi; done';
    const [program, ...args] = users.command(member, ['/bin/sh', '-c', script, 'sh', ...closed]);
    const { stdout } = await run(program, args, { maxBuffer: 16 * 2 ** 20 });
    const open = stdout.split('\n').filter((line) => line !== '');
    cells.push({
      ...{ service: 'files and sockets', credential: `user of ${member}` },
      ...(open.length === 0
        ? { state: 'refused', how: `none of ${closed.length} can be read or written` }
        : { state: 'accepted', how: `it can open ${open.slice(0, 3).join(', ')}${open.length > 3 ? ' …' : ''}` }),
    });
  }
  return cells;
}

function placesOf({ reading: { layout } }: Environment): readonly string[] {
  const under = (folder: string, ending: RegExp): string[] =>
    readdirSync(layout.path(folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => ending.test(name))
      .map((name) => join(layout.path(folder), name));
  return [
    ...under('zones', /^[^/]+\/(config\.json|[^/]*\.pem)$/),
    ...under('keys', /./),
    ...under('sockets', /\.sock$/),
    ...['store-secrets.json', 'stack.json'].map((name) => layout.path(name)),
  ];
}
