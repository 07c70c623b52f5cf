import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { stateAt, type AuditRecord, type Change, type StateAt } from '../../domain/audit.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError, exitCodeOf } from '../../domain/errors.js';
import { holdsRole } from '../../domain/policy.js';
import type { RoutingDocument } from '../../domain/routing.js';
import type { AuditQuestionPredicate } from '../../domain/statements.js';
import { isoTime, outsideValidity } from '../../domain/time.js';
import { encodeVerifierKey } from '../../formats/checkpoint.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { parseJson } from '../../formats/json.js';
import type { SigningKey } from '../../formats/keys.js';
import { sha256 } from '../../formats/sha256.js';
import type { Bucket } from '../object-store/port.js';
import type { Found, Records } from '../records.js';
import { serveLog } from './http.js';
import type { AuditLog } from './log.js';
import { readLog, type LogReader } from './reader.js';

const MAX_QUESTION_BYTES = 512 * 1024;
/** How long an auditor may read the log's tiles after the question that was answered with the address, whatever the clock does. */
const READING_MS = 10 * 60_000;

export interface DeskDeps {
  readonly records: Records;
  readonly audit: AuditLog;
  readonly buckets: { readonly audit: Bucket; readonly log: Bucket };
  readonly key: SigningKey;
  readonly origin: string;
  readonly log: Logger;
  /** What Prometheus reads at `/metrics`, on this host alone. */
  readonly metrics: () => Promise<string>;
}

export type Answer =
  | {
      readonly question: 'log';
      readonly path: string;
      readonly vkey: string;
      readonly size: number;
      readonly root: Digest;
    }
  | { readonly question: 'state'; readonly state: StateAt; readonly route: RoutingDocument | null };

/**
 * The one way to the audit log for everyone but its writer: zones report what they refused, auditors ask. Both only with a
 * signed statement; each attempt to read is in the log before it is answered.
 */
export class AuditDesk {
  readonly #deps: DeskDeps;
  readonly #server: Server;
  readonly #readers = new Map<string, number>();

  constructor(deps: DeskDeps) {
    this.#deps = deps;
    const tiles = serveLog(deps.buckets);
    this.#server = createServer((request, response) => {
      const [, first, token, ...rest] = (request.url ?? '').split('/');
      if (first === 'log' && request.method === 'GET') {
        if ((this.#readers.get(token ?? '') ?? 0) < performance.now())
          return send(response, 403, { error: 'ask first: nobody reads here, or no longer' });
        request.url = `/${rest.join('/')}`;
        return void tiles(request, response);
      }
      if (first === 'metrics' && request.method === 'GET')
        return void deps.metrics().then(
          (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text),
          (error: unknown) => this.#refuse(response, error),
        );
      this.#answer(request).then(
        (answer) => send(response, 200, answer),
        (error: unknown) => this.#refuse(response, error),
      );
    });
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage): Promise<unknown> {
    if (request.method !== 'POST') throw new CustodyError('USAGE', 'the desk takes POST');
    const envelope = parseJson(await readBody(request), 'the message', { maxBytes: MAX_QUESTION_BYTES });
    if (request.url === '/incidents') return this.#report(envelope);
    if (request.url === '/questions') return this.#question(envelope);
    throw new CustodyError('USAGE', 'the desk takes /incidents and /questions');
  }

  /** What a zone refused or saw outside any workflow. */
  async #report(input: unknown): Promise<{ readonly statement: Digest }> {
    const { records } = this.#deps;
    const { envelope, verified } = await records.verify('incident', input);
    const { newest, newestDigest } = await records.policies();
    const by = verified.signers.find((id) => holdsRole(newest, newest, id, 'serving'));
    if (by === undefined) throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} may not report`);
    const { environment, model, version, kind, reason } = verified.predicate;
    if (environment !== records.environment) throw new CustodyError('REPLAYED', `it is for ${environment}`);
    await records.keep(envelope);
    await this.#note(kind, verified.digest, {
      actor: { id: by, statement: verified.digest },
      subject: { model, version, release: verified.subject },
      after: verified.digest,
      policy: newestDigest,
      reason,
    });
    return { statement: verified.digest };
  }

  async #question(input: unknown): Promise<Answer> {
    const { records } = this.#deps;
    const { newest, newestDigest } = await records.policies();
    const subject = { model: '', version: null, release: null };
    let found: Found<AuditQuestionPredicate> | undefined;
    try {
      found = await records.receive('auditQuestion', input);
      const asked = found.verified;
      if (!asked.signers.some((id) => holdsRole(newest, newest, id, 'auditor')))
        throw new CustodyError('NOT_AUTHORISED', `${asked.signers.join(', ')} does not hold the role auditor`);
      if (asked.predicate.environment !== records.environment)
        throw new CustodyError('REPLAYED', `the question is for environment ${asked.predicate.environment}`);
      const outside = outsideValidity(asked.predicate, isoTime(Date.now()));
      if (outside !== null) throw new CustodyError('EXPIRED', `the question is ${outside}`);
      // Each question is answered once: whoever has got hold of one that was asked does not read with it.
      await records.spend(asked.predicate.nonce, { statement: asked.digest, request: sha256(randomBytes(32)) });
    } catch (error) {
      if (!(error instanceof CustodyError)) throw error;
      const digest = sha256(JSON.stringify(input) ?? '');
      await this.#note('log.read', `refused ${digest} ${Date.now()}`, {
        actor: { id: found?.verified.signers[0] ?? 'unverified', statement: found?.verified.digest ?? null },
        subject,
        after: digest,
        policy: newestDigest,
        reason: `refused: ${error.code}: ${error.message}`,
      });
      throw error;
    }
    const asked = found.verified;
    const { question, model, at } = asked.predicate;
    await records.keep(found.envelope);
    await this.#note('log.read', asked.digest, {
      actor: { id: asked.signers[0] ?? '', statement: asked.digest },
      subject: { ...subject, model: model ?? '' },
      after: asked.digest,
      policy: newestDigest,
      reason: `read: ${question}${model === null ? '' : ` of ${model} at ${at ?? ''}`}`,
    });
    return question === 'log' ? this.#log() : this.#state(model, at);
  }

  /** The whole log is checked from its batches on before anybody is shown a part of it. */
  async #log(): Promise<Answer> {
    const { size, root } = await this.#reader().verifyLog();
    const token = randomBytes(24).toString('base64url');
    this.#readers.set(token, performance.now() + READING_MS);
    const vkey = encodeVerifierKey(this.#deps.origin, this.#deps.key);
    return { question: 'log', path: `/log/${token}/`, vkey, size, root };
  }

  #reader(): LogReader {
    const { buckets, key, origin } = this.#deps;
    return readLog({ ...buckets, vkey: encodeVerifierKey(origin, key) });
  }

  async #state(model: string | null, at: string | null): Promise<Answer> {
    if (model === null || at === null) throw new CustodyError('USAGE', 'name a model and a time');
    const found: { index: number; record: AuditRecord }[] = [];
    for await (const entry of this.#reader().records()) found.push(entry);
    const state = stateAt(model, at, found);
    return { question: 'state', state, route: state.route === null ? null : await this.#routeOf(model, state.route) };
  }

  async #routeOf(model: string, digest: Digest): Promise<RoutingDocument> {
    for await (const key of this.#deps.records.bucket.list(`routes/${model}/`)) {
      const found = await this.#deps.records.find('route', key);
      if (found?.verified.digest === digest) return found.verified.predicate;
    }
    throw new CustodyError('WORM_VIOLATED', `the store has lost the routing document ${digest}`);
  }

  async #note(change: Change, key: string, rest: Omit<AuditRecord, 'id' | 'time' | 'change' | 'before' | 'workflow'>) {
    const id = sha256(canonicalBytes([change, key]));
    await this.#deps.audit.append([{ id, time: isoTime(Date.now()), change, before: null, workflow: null, ...rest }]);
  }

  #refuse(response: ServerResponse, error: unknown): void {
    const code = error instanceof CustodyError ? error.code : 'INTERNAL';
    if (code === 'INTERNAL') this.#deps.log.error({ err: error }, 'the audit desk could not answer');
    const message = error instanceof Error ? error.message : String(error);
    send(response, exitCodeOf(code) === 4 ? 403 : exitCodeOf(code) === 7 ? 503 : 400, { code, message });
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_QUESTION_BYTES) throw new CustodyError('MALFORMED', 'the message is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes);
}
