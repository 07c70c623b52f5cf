import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { Desk } from '../../activities/control.js';
import type { AdmittedData, TakenData } from '../../activities/data-contract.js';
import { createDataDesk } from '../../activities/data-desk.js';
import { Journal } from '../../activities/journal.js';
import { createDataIntake } from '../../activities/take-data.js';
import type { Records } from '../../adapters/records.js';
import { findData, handOver, vouchFor, type FoundData } from '../../client/data.js';
import type { Signer } from '../../client/requests.js';
import type { AuditRecord } from '../../domain/audit.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import type { KeyName, World } from './world.js';

const inActivity = <T>(run: () => Promise<T>): Promise<T> =>
  new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') }).run<[], T, () => Promise<T>>(run);

export const signerIn = (world: World, id: KeyName): Signer => ({
  ...{ key: world.keys[id], id, environment: 'test', policy: world.policyDigest },
});

/** Data that come from `archive` to dana, who vouches for them. */
export async function vouched(
  world: World,
  folder: string,
  source = 'digits',
): Promise<{ readonly data: FoundData; readonly handover: SignedEnvelope; readonly statement: SignedEnvelope }> {
  const data = await findData(folder, source);
  const handover = handOver(signerIn(world, 'archive'), data, { to: 'dana', reason: 'for training', after: null });
  const said = { publisher: 'archive', licence: 'CC0-1.0', origin: 'https://example.org/digits' };
  return { data, handover, statement: vouchFor(signerIn(world, 'dana'), data, said, [handover]) };
}

/** The zones' part in the registration of data, over records and a log that is a list. */
export function dataZones(records: Records) {
  const log: AuditRecord[] = [];
  const journal = new Journal({ append: async (added) => void log.push(...added) });
  const { admitData, recordData } = createDataDesk({ records, journal, id: 'control' } as unknown as Desk);
  const { takeData } = createDataIntake({ records });
  return {
    log,
    admit: (source: string, statement: unknown, handovers: readonly unknown[]) =>
      inActivity(() => admitData(source, statement, handovers)),
    take: (source: string, admitted: AdmittedData, folder: string) =>
      inActivity(() => takeData(source, admitted, folder)),
    record: (source: string, admitted: AdmittedData, taken: TakenData) =>
      inActivity(() => recordData(source, admitted, taken)),
  };
}

/** Registers what lies in a folder; answers the digest of the statement about it. */
export async function registerData(records: Records, world: World, folder: string, source = 'digits'): Promise<string> {
  const zones = dataZones(records);
  const { handover, statement } = await vouched(world, folder, source);
  const admitted = await zones.admit(source, statement, [handover]);
  await zones.record(source, admitted, await zones.take(source, admitted, folder));
  return admitted.statement;
}
