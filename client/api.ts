import { z } from 'zod';
import { CustodyError, isErrorCode } from '../domain/errors.js';
import { lifecycleId } from '../domain/names.js';
import { canonicalBytes } from '../formats/jcs.js';
import { checkShape, parseJson } from '../formats/json.js';
import { isTrustworthyUrl } from '../formats/policy-oidc.js';
import type { Reading } from './connect.js';
import type { Ask } from './start.js';

const TIMEOUT_MS = 30_000;
const answerSchema = z.object({ request: z.unknown() });
const refusalSchema = z.object({ code: z.string(), message: z.string() });

/**
 * Has the api sign the request, for whoever the token says we are. What it answers is checked against the policy, and must be
 * what was asked for. API_UNAVAILABLE, or the code that the api refuses with.
 */
export function askThroughApi({ records }: Reading, api: string, token: string): Ask {
  const url = addressOf(api);
  return async ({ model, version }, where) => {
    const name = { model, version };
    const answer = await post(url, token, { ...name, ...where });
    const { request } = checkShape(answerSchema, answer, "the api's answer");
    const { envelope, verified } = await records.verify('request', request);
    const { action, workflowId } = verified.predicate;
    const asked = canonicalBytes({ kind: 'release', ...where });
    if (workflowId === lifecycleId(name) && canonicalBytes(action).equals(asked)) return { request: envelope };
    throw new CustodyError('DIGEST_MISMATCH', 'the api has signed something else than was asked for');
  };
}

/** The token in a variable of the environment: an argument would stand in the process list. */
export function tokenIn(variable: string): string {
  const token = process.env[variable]?.trim();
  if (token !== undefined && token !== '') return token;
  throw new CustodyError(
    'USAGE',
    `the variable ${variable} holds no token: put it there, or name another with --token-env`,
  );
}

function addressOf(api: string): URL {
  const url = URL.canParse('/v1/requests/release', api) ? new URL('/v1/requests/release', api) : null;
  if (url !== null && isTrustworthyUrl(url)) return url;
  throw new CustodyError('USAGE', `${api} is no address of an api: https, since a token goes there`);
}

async function post(url: URL, token: string, body: object): Promise<unknown> {
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await answer.text();
  } catch (cause) {
    throw new CustodyError('API_UNAVAILABLE', `the api at ${url.origin} does not answer`, { cause });
  }
  const value = parseJson(text, "the api's answer");
  if (answer.ok) return value;
  const { code, message } = checkShape(refusalSchema, value, "the api's refusal");
  throw new CustodyError(isErrorCode(code) ? code : 'API_UNAVAILABLE', message);
}
