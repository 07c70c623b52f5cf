import { mayAskToTrain } from '../domain/authorise-training.js';
import type { Records } from '../adapters/records.js';
import { CustodyError, isPermanent } from '../domain/errors.js';
import { observedIn, sayObserved } from '../domain/observed.js';
import type { ProvenancePredicate, RequestPredicate, Verified } from '../domain/statements.js';
import { trainingId } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { demand } from '../formats/evidence.js';
import type { Desk } from './control.js';
import type { TrainingControl, TrainingEnded } from './training-contract.js';
import { openAskedGate } from './gate.js';
import { refusal } from './journal.js';

/** Control's part in training: how each run ended is in the log, by the request and the provenance that WORM has of it. */
export function createTrainingDesk(desk: Desk): TrainingControl {
  const { records, journal } = desk;
  return {
    openTrainingGate: (model, run, envelope) =>
      openAskedGate(desk, {
        kind: 'train',
        envelope,
        workflowId: trainingId(model, run),
        subject: { model, version: null, release: null },
        check: (request, rules) => void demand(mayAskToTrain({ model, run, request }, rules)),
      }),

    recordTraining: async (model, run, envelope, ended) => {
      const request = await admitted(records, model, run, envelope);
      if (request === null) {
        const why = ended.kind === 'rejected' ? `${ended.code}: ${ended.reason}` : 'nobody has asked for it';
        await journal.note(refusal('training', [envelope], { model, version: null, release: null }, why));
        return;
      }
      const { requester, version, policy } = request.predicate;
      const made = await madeBy(records, request, ended);
      await journal.note({
        change: 'training.ended',
        key: `${run} ${request.digest}`,
        actor: { id: requester, statement: request.digest },
        subject: { model, version, release: made?.subject ?? null },
        before: request.digest,
        after: made?.digest ?? null,
        policy,
        reason: `run ${run}: ${ended.kind === 'trained' ? trainedAs(made) : `${ended.code}: ${ended.reason}`}`,
      });
    },
  };
}

/** The request that a run was made for: the training zone has kept it once somebody with the right to had signed it. */
async function admitted(
  records: Records,
  model: string,
  run: string,
  envelope: unknown,
): Promise<Verified<RequestPredicate> | null> {
  try {
    const { verified } = await records.verify('request', envelope);
    const kept = await records.find('request', storeKeys.request(verified.digest));
    const { action } = verified.predicate;
    const isFor = action.kind === 'train' && action.run === run && verified.predicate.model === model;
    return kept !== null && isFor ? verified : null;
  } catch (error) {
    if (error instanceof CustodyError && isPermanent(error.code)) return null;
    throw error;
  }
}

/** What the run was seen to do, as far as its provenance says. */
function trainedAs(made: Verified<ProvenancePredicate> | null): string {
  const observed = observedIn(made?.predicate.buildDefinition.internalParameters);
  return observed === null ? 'trained' : `trained: ${sayObserved(observed)}`;
}

/** What the training zone says that it has made, by its provenance; of this very request. */
async function madeBy(records: Records, request: Verified<RequestPredicate>, ended: TrainingEnded) {
  if (ended.kind === 'rejected') return null;
  const { verified } = await records.get('provenance', ended.statement);
  if (verified.predicate.buildDefinition.externalParameters?.['request'] !== request.digest)
    throw new CustodyError('REPLAYED', 'what was trained was not asked for by this request');
  return verified;
}
