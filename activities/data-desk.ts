import { z } from 'zod';
import { keptSource } from '../adapters/data-sources.js';
import { authoriseData } from '../domain/data-source.js';
import { CustodyError } from '../domain/errors.js';
import { storeKeys } from '../domain/store-keys.js';
import { MAX_HANDOVERS } from '../formats/data-source-schema.js';
import { demand } from '../formats/evidence.js';
import { checkShape } from '../formats/json.js';
import type { Desk } from './control.js';
import type { DataControl } from './data-contract.js';

/** As many as a statement can name. */
const handoversSchema = z.array(z.unknown()).max(MAX_HANDOVERS);

/** Control's part in data: who says that they may be used, and through whose hands they came, is verified, kept and in the log. */
export function createDataDesk({ records, journal, id }: Desk): Pick<DataControl, 'admitData' | 'recordData'> {
  return {
    admitData: (source, statement, handovers) =>
      journal.refusing(
        { name: 'data', envelope: statement, subject: { model: '', version: null, release: null } },
        async () => {
          const policies = await records.policies();
          const { envelope, verified } = await records.receive('dataSource', statement, policies);
          if (verified.predicate.source !== source)
            throw new CustodyError('REPLAYED', `it is about ${verified.predicate.source}, not ${source}`);
          const named = checkShape(handoversSchema, handovers, 'the list of the handovers');
          const found = await Promise.all(named.map((each) => records.meet('handover', each, policies)));
          const links = found.map((each) => each.verified);
          const rules = { environment: records.environment, newest: policies.newest, now: records.now() };
          const permission = authoriseData({ source: verified, links }, rules);
          demand(permission);
          for (const link of found) await records.keep(link.envelope);
          await records.keep(envelope);
          return { statement: verified.digest, list: verified.subject, by: verified.signers.join(' and ') };
        },
      ),

    recordData: async (source, { statement }, { files, bytes }) => {
      const { statement: about, links } = await keptSource(records, statement);
      const { predicate, subject, signers } = about;
      if (predicate.source !== source || (await records.bucket.head(storeKeys.fileList(subject), null)) === null)
        throw new CustodyError('REPLAYED', `no data of ${source} were taken by this statement`);
      const through = [predicate.publisher, ...links.map((link) => link.predicate.to)].join(' → ');
      await journal.note({
        change: 'data.registered',
        key: statement,
        actor: { id: signers.join(' and '), statement },
        subject: { model: '', version: null, release: null },
        after: statement,
        reason: `${source}: ${files} files, ${bytes} bytes, ${predicate.licence}, ${through}; compared by intake, for ${id}`,
      });
      await records.recordOnce(storeKeys.data(source, statement), { statement, files, bytes });
    },
  };
}
