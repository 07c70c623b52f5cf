import { z } from 'zod';
import type { SignedEnvelope } from '../../domain/statements.js';
import { checkShape } from '../../formats/json.js';
import { exchange } from '../exchange.js';

/** An api listener's admin socket. One that does not answer is API_UNAVAILABLE. */
export interface ApiClient {
  /** Every policy of the environment, oldest first. */
  deliverPolicies(policies: readonly SignedEnvelope[]): Promise<void>;
  /** `null` before the first delivery. */
  policyVersion(): Promise<number | null>;
}

const TIMEOUT_MS = 5_000;
const stateSchema = z.strictObject({ policyVersion: z.int().min(1).nullable() });

export function createApiClient(socket: string): ApiClient {
  const ask = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<number | null> => {
    const answer = await exchange({ socket }, method, path, body, 'API_UNAVAILABLE', TIMEOUT_MS);
    return checkShape(stateSchema, answer, `the api's answer to ${path}`).policyVersion;
  };
  return {
    deliverPolicies: async (policies) => void (await ask('POST', '/policies', { policies })),
    policyVersion: () => ask('GET', '/state'),
  };
}
