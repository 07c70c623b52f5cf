import { expect } from 'vitest';
import type { Desk } from '../../../activities/control.js';
import { Journal, type Audit } from '../../../activities/journal.js';
import { Router } from '../../../activities/router.js';
import type { GatewayClient } from '../../../adapters/gateway/client.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { CustodyError } from '../../../domain/errors.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import type { Route, World } from '../../support/world.js';

/** Control's desk over a store in memory that has the first policy, with the gateways given and with a log that is a list of records. */
export interface DeskRig {
  readonly records: Records;
  readonly router: Router;
  readonly log: AuditRecord[];
  /** While it is down, the log takes no record; while it hangs, it does not even say so. */
  readonly audit: Audit & { isDown: boolean; hangs: boolean };
  readonly desk: Desk;
  put(key: string, body: Buffer): Promise<unknown>;
  keep(route: Route): Promise<unknown>;
}

export async function startDesk(world: World, gateways: readonly GatewayClient[] = []): Promise<DeskRig> {
  const records = new Records(createMemoryStore().bucket('test-custody'), world.root);
  const log: AuditRecord[] = [];
  // As in the real one, an id counts once.
  const isNew = ({ id }: AuditRecord): boolean => !log.some((record) => record.id === id);
  const audit = {
    isDown: false,
    hangs: false,
    append: async (added: readonly AuditRecord[]): Promise<void> => {
      if (audit.hangs) await new Promise(() => undefined);
      if (audit.isDown) throw new CustodyError('STORE_UNAVAILABLE', 'the log takes no record');
      log.push(...added.filter(isNew));
    },
  };
  const router = new Router({
    ...{ records, key: world.keys.control, id: 'control', gateways, audit },
    onJunk: (key, error) => expect.fail(`${key}: ${error.message}`),
  });
  const put: DeskRig['put'] = (key, body) =>
    records.bucket.createOnce(key, body, { retainUntil: '2099-01-01T00:00:00Z' });
  await put(storeKeys.policy(1), canonicalBytes(world.policyEnvelope));
  return {
    ...{ records, router, log, audit, put },
    desk: { records, router, journal: new Journal(audit), id: 'control' } as unknown as Desk,
    keep: ({ document, envelope }) => put(storeKeys.route(document.model, document.revision), canonicalBytes(envelope)),
  };
}
