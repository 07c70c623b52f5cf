import { openBucket } from '../../adapters/object-store/s3.js';
import { connectTemporal } from '../../adapters/temporal.js';
import { CustodyError } from '../../domain/errors.js';
import { bucketNames } from '../../domain/store-keys.js';
import { refused, type Cell } from './cell.js';
import type { Environment } from './environment.js';

type Tried = Omit<Cell, 'of' | 'on'>;

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
