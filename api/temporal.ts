import { Client, Connection, isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { CustodyError } from '../domain/errors.js';
import { endpointId } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { decisionSignal } from '../workflows/messages.js';
import type { ApiConfig } from './config.js';

const DEADLINE_MS = 5_000;

/** Hands a signed alert to the model's endpoint. INPUT_MISSING: there is none. TEMPORAL_UNAVAILABLE. */
export type AlertCourier = (model: string, envelope: SignedEnvelope) => Promise<void>;

/** By signal, which Temporal keeps while no worker is up. It connects when there is something to hand over. */
export function createCourier({ address, namespace }: NonNullable<ApiConfig['alerts']>['temporal']): AlertCourier {
  const client = new Client({ connection: Connection.lazy({ address }), namespace });
  return async (model, envelope) => {
    try {
      await client.withDeadline(Date.now() + DEADLINE_MS, () =>
        client.workflow.getHandle(endpointId(model)).signal(decisionSignal('securityAlert'), envelope),
      );
    } catch (cause) {
      if (cause instanceof WorkflowNotFoundError)
        throw new CustodyError('INPUT_MISSING', `there is no endpoint of ${model}`, { cause });
      if (!(cause instanceof ServiceError) && !isGrpcServiceError(cause)) throw cause;
      throw new CustodyError('TEMPORAL_UNAVAILABLE', 'Temporal does not take the alert', { cause });
    }
  };
}
