import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Digest } from '../../domain/digest.js';
import { CustodyError, exitCodeOf, isPermanent } from '../../domain/errors.js';
import { holdsRole, type Policy } from '../../domain/policy.js';
import { parseJson } from '../../formats/json.js';
import { sha256 } from '../../formats/sha256.js';
import type { Records } from '../records.js';
import { serveLog } from './http.js';
import { lastTold } from './keys.js';
import type { AuditLog } from './log.js';
import { noteAtDesk } from './note.js';
import { Questions } from './questions.js';
import type { StatesDeps } from './states.js';

const MAX_QUESTION_BYTES = 512 * 1024;

export interface DeskDeps extends StatesDeps {
  readonly records: Records;
  readonly audit: AuditLog;
  readonly log: Logger;
}

/**
 * The one way to the audit log for everyone but its writer: zones report what they refused, auditors ask. Both only with a
 * signed statement; each attempt to read is in the log before it is answered.
 */
export class AuditDesk {
  readonly #deps: DeskDeps;
  readonly #server: Server;
  readonly #questions: Questions;

  constructor(deps: DeskDeps) {
    this.#deps = deps;
    this.#questions = new Questions(deps);
    const tiles = serveLog(deps.buckets);
    this.#server = createServer((request, response) => {
      const [, first, token, ...rest] = (request.url ?? '').split('/');
      if (first === 'log' && request.method === 'GET') {
        if (!this.#questions.mayRead(token ?? ''))
          return send(response, 403, { error: 'ask first: nobody reads here, or no longer' });
        request.url = `/${rest.join('/')}`;
        return void tiles(request, response);
      }
      // Public keys, signed: whoever reads a log by one of them learns of the next.
      if (first === 'keys' && request.method === 'GET')
        return void lastTold(deps.buckets.audit).then(
          (note) => send(response, 200, { note: note?.toString('utf8') ?? null }),
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
    if (request.url === '/questions') return this.#questions.answer(envelope);
    throw new CustodyError('USAGE', 'the desk takes /incidents and /questions');
  }

  /** What a zone refused or saw outside any workflow. What nobody may report is in the log as refused, once. */
  async #report(input: unknown): Promise<{ readonly statement: Digest }> {
    const { newest, newestDigest } = await this.#deps.records.policies();
    try {
      return await this.#take(input, newest, newestDigest);
    } catch (error) {
      if (!(error instanceof CustodyError) || !isPermanent(error.code)) throw error;
      const digest = sha256(JSON.stringify(input) ?? '');
      await noteAtDesk(this.#deps.audit, 'message.refused', `incident ${digest}`, {
        actor: { id: 'unverified', statement: null },
        subject: { model: '', version: null, release: null },
        after: digest,
        policy: newestDigest,
        reason: `incident (sha256 ${digest}): ${error.code}: ${error.message}`,
      });
      throw error;
    }
  }

  async #take(input: unknown, newest: Policy, newestDigest: Digest): Promise<{ readonly statement: Digest }> {
    const { records } = this.#deps;
    const { envelope, verified } = await records.verify('incident', input);
    const by = verified.signers.find((id) => holdsRole(newest, newest, id, 'serving'));
    if (by === undefined) throw new CustodyError('NOT_AUTHORISED', `${verified.signers.join(', ')} may not report`);
    const { environment, model, version, kind, reason } = verified.predicate;
    if (environment !== records.environment) throw new CustodyError('REPLAYED', `it is for ${environment}`);
    await records.keep(envelope);
    await noteAtDesk(this.#deps.audit, kind, verified.digest, {
      actor: { id: by, statement: verified.digest },
      subject: { model, version, release: verified.subject },
      after: verified.digest,
      policy: newestDigest,
      reason,
    });
    return { statement: verified.digest };
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
