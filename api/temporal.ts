import { Client, Connection, isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { CustodyError } from '../domain/errors.js';
import { endpointId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { envelopeDigest } from '../formats/dsse.js';
import { decisionSignal, startAlert } from '../workflows/messages.js';
import type { ApiConfig } from './config.js';

const DEADLINE_MS = 5_000;

/** Hands a signed alert to the model's endpoint; where there is none, to control, which audits it. TEMPORAL_UNAVAILABLE. */
export type AlertCourier = (model: string, envelope: SignedEnvelope) => Promise<void>;

/** By signal, which Temporal keeps while no worker is up. It connects when there is something to hand over. */
export function createCourier({ address, namespace }: NonNullable<ApiConfig['alerts']>['temporal']): AlertCourier {
  const client = new Client({ connection: Connection.lazy({ address }), namespace });
  return async (model, envelope) => {
    try {
      await client.withDeadline(Date.now() + DEADLINE_MS, () => handOver(client, model, envelope));
    } catch (cause) {
      if (!(cause instanceof ServiceError) && !isGrpcServiceError(cause)) throw cause;
      throw new CustodyError('TEMPORAL_UNAVAILABLE', 'Temporal does not take the alert', { cause });
    }
  };
}

async function handOver({ workflow }: Client, model: string, envelope: SignedEnvelope): Promise<void> {
  try {
    await workflow.getHandle(endpointId(model)).signal(decisionSignal('securityAlert'), envelope);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    await workflow.start('alert', {
      ...startAlert(model, envelopeDigest(envelope)),
      args: [envelope],
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
  }
}
