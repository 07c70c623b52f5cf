import { request } from 'undici';
import { z } from 'zod';
import type { ReviewPredicate, SeenReview } from '../../domain/code-review.js';
import { CustodyError } from '../../domain/errors.js';
import { isoTime } from '../../domain/time.js';
import { checkShape, parseJson } from '../../formats/json.js';

/** Where GitHub's REST API is asked: https://docs.github.com/en/rest, version 2022-11-28. */
export interface GitHubAccess {
  /** `https://api.github.com`, or of an own server `https://<host>/api/v3`. */
  readonly api: string;
  /** Sent as a bearer token: it needs to read contents and pull requests. */
  readonly token?: string | undefined;
  readonly timeoutMs?: number;
}

/** What one person has said of one commit in a pull request, as GitHub tells it. A user's number stays theirs when they are renamed. */
export interface PullRequestReview extends Pick<ReviewPredicate, 'decision'> {
  readonly seen: SeenReview;
}

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 16 * 1024 * 1024;
const PAGE = 100;
const MAX_PAGES = 20;
const LIMITED = [403, 429];

const branchSchema = z.object({ protected: z.boolean() });
const pullSchema = z.object({
  number: z.int(),
  merged_at: z.string().nullable(),
  base: z.object({ ref: z.string(), repo: z.object({ full_name: z.string() }) }),
});
const reviewSchema = z.object({
  id: z.int(),
  user: z.object({ id: z.int(), type: z.string() }).nullable(),
  state: z.string(),
  commit_id: z.string().nullable(),
  submitted_at: z.iso.datetime({ offset: true }).optional(),
});

const DECISIONS: Readonly<Record<string, ReviewPredicate['decision']>> = {
  APPROVED: 'approve',
  CHANGES_REQUESTED: 'reject',
};

/**
 * What people have said of this very commit in the pull requests that brought it to a branch which GitHub protects. Programs,
 * comments, and reviews that were dismissed or are of another commit say nothing. POLICY_REFUSED: the branch is not protected.
 * NOT_AUTHORISED: the token may not look, or there is no such repository. REPOSITORY_UNAVAILABLE: trying again can help.
 */
export async function reviewsOnGitHub(
  access: GitHubAccess,
  repository: string,
  { branch, commit }: { readonly branch: string; readonly commit: string },
): Promise<readonly PullRequestReview[]> {
  const at = `/repos/${repository}`;
  const protection = await ask(access, `${at}/branches/${encodeURIComponent(branch)}`, branchSchema);
  if (!protection.protected)
    throw new CustodyError('POLICY_REFUSED', `GitHub does not protect the branch ${branch} of ${repository}`);
  const pulls = await askAll(access, `${at}/commits/${commit}/pulls`, pullSchema);
  const merged = pulls.filter(
    ({ merged_at: mergedAt, base }) =>
      mergedAt !== null && base.ref === branch && base.repo.full_name.toLowerCase() === repository.toLowerCase(),
  );
  const found: PullRequestReview[] = [];
  for (const { number: pull } of merged)
    for (const said of await askAll(access, `${at}/pulls/${pull}/reviews`, reviewSchema)) {
      const decision = DECISIONS[said.state];
      const { user, submitted_at: submittedAt } = said;
      if (decision === undefined || said.commit_id !== commit || user?.type !== 'User' || submittedAt === undefined)
        continue;
      const at = isoTime(Date.parse(submittedAt));
      found.push({ decision, seen: { on: 'github', pull, review: said.id, user: user.id, submittedAt: at } });
    }
  return found;
}

/** Every page. A list that does not come to its end is no list: what is missing could be a rejection. */
async function askAll<T>(access: GitHubAccess, path: string, item: z.ZodType<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const items = await ask(access, `${path}?per_page=${PAGE}&page=${page}`, z.array(item));
    found.push(...items);
    if (items.length < PAGE) return found;
  }
  throw new CustodyError('POLICY_REFUSED', `GitHub tells of more than ${PAGE * MAX_PAGES} at ${path}`);
}

async function ask<T>(access: GitHubAccess, path: string, shape: z.ZodType<T>): Promise<T> {
  const { api, token, timeoutMs = TIMEOUT_MS } = access;
  const url = `${api.replace(/\/$/, '')}${path}`;
  const signal = AbortSignal.timeout(timeoutMs);
  const headers = {
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
    'user-agent': 'custody',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const { status, body, left } = await send(url, headers, signal);
  if (status === 200) return checkShape(shape, parseJson(body, url, { maxBytes: MAX_BYTES }), url);
  const isLimited = LIMITED.includes(status) && (status === 429 || left === '0');
  if (status >= 500 || isLimited) throw down(`${url} answers ${status}`);
  // A redirect leads to a repository that nobody has named.
  throw new CustodyError(
    'NOT_AUTHORISED',
    `${url} answers ${status}: is the repository there, and may the token look?`,
  );
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** How many requests the token has left. */
  readonly left: string | null;
}

async function send(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer> {
  try {
    const answer = await request(url, { headers, signal });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer.body) {
      size += (chunk as Buffer).length;
      if (size > MAX_BYTES)
        throw new CustodyError('POLICY_REFUSED', `${url} answers with more than ${MAX_BYTES} bytes`);
      chunks.push(chunk as Buffer);
    }
    const left = answer.headers['x-ratelimit-remaining'];
    return { status: answer.statusCode, body: Buffer.concat(chunks), left: typeof left === 'string' ? left : null };
  } catch (cause) {
    if (cause instanceof CustodyError) throw cause;
    throw down(`${url} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

const down = (message: string, cause?: unknown): CustodyError =>
  new CustodyError('REPOSITORY_UNAVAILABLE', message, cause === undefined ? {} : { cause });
