import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Ajv } from 'ajv';

type Json = Readonly<Record<string, unknown>>;
interface Operation {
  readonly schema: Json;
  readonly example: unknown;
}

// What GitHub publishes of its REST API: for each operation the shape of an answer, and an example of one.
const { operations } = JSON.parse(
  readFileSync(new URL('contracts/github.json', import.meta.url), 'utf8'),
  inJsonSchema,
) as {
  readonly operations: Readonly<Record<'pulls' | 'reviews' | 'branch', Operation>>;
};

/** OpenAPI 3.0 says `nullable` where JSON Schema has a type for it. */
function inJsonSchema(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('nullable' in value)) return value;
  const { nullable, ...schema } = value;
  return nullable === true ? { anyOf: [schema, { type: 'null' }] } : schema;
}

const ajv = new Ajv({ strict: false, validateFormats: false });
const validators = {
  pulls: ajv.compile(operations.pulls.schema),
  reviews: ajv.compile(operations.reviews.schema),
  branch: ajv.compile(operations.branch.schema),
};

export interface PlayedReview {
  readonly user: number;
  readonly commit: string;
  readonly state?: 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED' | 'DISMISSED' | 'PENDING';
  readonly type?: 'User' | 'Bot';
  readonly at?: string;
}

export interface PlayedPull {
  readonly reviews: readonly PlayedReview[];
  readonly mergedAt?: string | null;
  readonly base?: string;
  readonly repository?: string;
}

/** GitHub, as far as it is asked: each answer is made of its own example, and fits its own description. */
export class PlayedGitHub {
  readonly api: string;
  readonly asked: string[] = [];
  protected = true;
  pulls: readonly PlayedPull[] = [];
  /** Answers instead, where it is set. */
  instead: { readonly status: number; readonly headers?: Readonly<Record<string, string>> } | null = null;
  readonly #server: Server;

  private constructor(server: Server, api: string) {
    this.#server = server;
    this.api = api;
  }

  static async start(token: string): Promise<PlayedGitHub> {
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const played = new PlayedGitHub(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request, response) => {
      const url = new URL(request.url ?? '', played.api);
      played.asked.push(url.pathname);
      const isMine = request.headers.authorization === `Bearer ${token}`;
      const answer = played.instead ?? (isMine ? played.#answer(url) : { status: 401 });
      response.writeHead(answer.status, {
        'content-type': 'application/json',
        ...('headers' in answer ? answer.headers : {}),
      });
      response.end('body' in answer ? JSON.stringify(answer.body) : '{"message":"no"}');
    });
    return played;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(url: URL): { readonly status: number; readonly body?: unknown } {
    const [, owner, name, kind, key, rest] =
      /^\/repos\/([^/]+)\/([^/]+)\/(branches|commits|pulls)\/([^/]+)(\/\w+)?$/.exec(url.pathname) ?? [];
    if (`${owner}/${name}` !== 'ml/digits') return { status: 404 };
    if (kind === 'branches')
      return played('branch', { ...(operations.branch.example as Json), name: key, protected: this.protected });
    const page = Number(url.searchParams.get('page') ?? '1');
    const size = Number(url.searchParams.get('per_page') ?? '30');
    const within = <T>(all: readonly T[]): readonly T[] => all.slice((page - 1) * size, page * size);
    if (kind === 'commits' && rest === '/pulls') return played('pulls', within(this.pulls.map(pullOf)));
    if (kind === 'pulls' && rest === '/reviews') {
      const pull = this.pulls[Number(key) - 1];
      return pull === undefined ? { status: 404 } : played('reviews', within(pull.reviews.map(reviewOf)));
    }
    return { status: 404 };
  }
}

function played(operation: keyof typeof validators, body: unknown): { readonly status: 200; readonly body: unknown } {
  const validate = validators[operation];
  if (!validate(body)) throw new Error(`GitHub would not answer so: ${ajv.errorsText(validate.errors)}`);
  return { status: 200, body };
}

function pullOf(
  { mergedAt = '2026-01-02T03:04:05Z', base = 'main', repository = 'ml/digits' }: PlayedPull,
  at: number,
): Json {
  const [example] = operations.pulls.example as readonly (Json & { readonly base: Json & { readonly repo: Json } })[];
  if (example === undefined) throw new Error('there is no example');
  const repo = { ...example.base.repo, full_name: repository };
  return {
    ...example,
    // Those of the example do not fit the description.
    requested_teams: [],
    number: at + 1,
    state: 'closed',
    merged_at: mergedAt,
    base: { ...example.base, ref: base, repo },
  };
}

function reviewOf(
  { user, commit, state = 'APPROVED', type = 'User', at = '2026-01-01T00:00:00Z' }: PlayedReview,
  index: number,
): Json {
  const [example] = operations.reviews.example as readonly (Json & { readonly user: Json })[];
  if (example === undefined) throw new Error('there is no example');
  return {
    ...example,
    id: index + 80,
    user: { ...example.user, id: user, type },
    state,
    commit_id: commit,
    submitted_at: at,
  };
}
