import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { Agent, request } from 'undici';
import { isDigest, type Digest } from '../../domain/digest.js';

/** What a caller of one gateway is answered: by a release, or with a refusal of the gateway's own. */
export interface CallerSight {
  readonly release: Digest | null;
  readonly status: number;
  /** Of the gateway's refusal. */
  readonly code: string | null;
}

/** Asks one gateway as its callers do. */
export interface Caller {
  readonly url: string;
  /** `null`: nobody answers. */
  ask(model: string): Promise<CallerSight | null>;
}

const ANSWER_MS = 2_000;
const MAX_BYTES = 64 * 1024;
const refusal = z.looseObject({ code: z.string() });

/** `token`: a file with the bearer token of a declared consumer, where the policy refuses unknown callers. */
export function createCaller(url: string, token?: string): Caller {
  const agent = new Agent({ connections: 1, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS });
  return {
    url,
    ask: async (model) => {
      try {
        const bearer = token === undefined ? {} : { authorization: `Bearer ${readFileSync(token, 'utf8').trim()}` };
        const { statusCode, headers, body } = await request(new URL(`/v2/models/${model}`, url), {
          dispatcher: agent,
          headers: { 'x-custody-caller': 'drill', ...bearer },
          signal: AbortSignal.timeout(ANSWER_MS),
        });
        const text = await body.text();
        const release = headers['x-custody-release'];
        return {
          release: isDigest(release) ? release : null,
          status: statusCode,
          code: statusCode < 400 || text.length > MAX_BYTES ? null : codeIn(text),
        };
      } catch {
        // Whatever it is, a caller has no answer.
        return null;
      }
    },
  };
}

function codeIn(text: string): string | null {
  try {
    return refusal.safeParse(JSON.parse(text)).data?.code ?? null;
  } catch {
    return null; // What a release says, and not the gateway.
  }
}
