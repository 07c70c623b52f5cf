import { authoriseNewDeclaration, type ConsumerPredicate } from '../domain/consumers.js';
import { CustodyError } from '../domain/errors.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import type { Desk } from './control.js';
import { wakeEndings } from './wake.js';
import type { ConsumerControl } from './contract.js';

/** What people say of the systems that depend on models: verified, in the log, and only then kept. */
export function createConsumers(desk: Desk): Pick<ConsumerControl, 'declareConsumer' | 'wakeEndings'> {
  const { records, journal, consumers } = desk;
  return {
    declareConsumer: (consumer, sequence, envelope) =>
      journal.refusing(
        { name: 'consumer', envelope, subject: { model: '', version: null, release: null } },
        async () => {
          const { envelope: given, verified } = await records.receive('consumer', envelope);
          const said = verified.predicate;
          if (said.consumer !== consumer || said.sequence !== sequence)
            throw new CustodyError('REPLAYED', `it is the statement ${said.sequence} about ${said.consumer}`);
          const registry = await consumers.registry();
          const before = registry.get(consumer);
          const by = verified.signers.join(' and ');
          const told = { statement: verified.digest, by };
          if (before?.digest === verified.digest) return { ...told, already: true, added: said.models };
          const now = isoTime(Date.now());
          const { newest, newestDigest } = await records.policies();
          const rules = { environment: records.environment, newest, known: registry, now };
          demand(authoriseNewDeclaration(verified, rules));
          const outside = outsideValidity(said, now);
          if (outside !== null) throw new CustodyError('EXPIRED', `the statement is ${outside}`);
          const models = new Set([...(before?.predicate.models ?? []), ...said.models]);
          await journal.note(
            ...[...models].map((model) => ({
              change: said.models.includes(model) ? ('consumer.declared' as const) : ('consumer.removed' as const),
              key: `${verified.digest} ${model}`,
              actor: { id: by, statement: verified.digest },
              subject: { model, version: null, release: null },
              before: before?.digest ?? null,
              after: verified.digest,
              policy: newestDigest,
              reason: inWords(said),
            })),
          );
          await records.keep(given, storeKeys.consumer(consumer, sequence, verified.digest));
          const known = new Set(before?.predicate.models);
          return { ...told, already: false, added: said.models.filter((model) => !known.has(model)) };
        },
      ),

    wakeEndings: (models) => wakeEndings(desk, models),
  };
}

function inWords({ consumer, sequence, owner, criticality, expiresAt }: ConsumerPredicate): string {
  return `consumer ${consumer}, statement ${sequence}: ${criticality}, of ${owner}, until ${expiresAt}`;
}
