import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Client } from 'minio';
import { CustodyError, type ErrorCode } from '../../domain/errors.js';
import { assertReadable } from './rules.js';
import { textOf } from './xml.js';

/** Where a store is, and as whom one speaks to it. */
export interface S3Config {
  /** `http(s)://host[:port]`, without a path. */
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
}

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly bucket: string;
  readonly key?: string;
  /** `''` stands for a parameter without a value. */
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** May be sent again when a kept-alive connection turns out to be dead. GET and HEAD always may. */
  readonly repeatable?: boolean;
  /** For requests that a store may take minutes to answer. */
  readonly patient?: boolean;
}

export interface S3Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly stream: IncomingMessage;
}

export interface S3Text {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** S3's error code, `''` where the answer has none. */
  readonly code: string;
}

const IDLE_MS = 30_000;
const PATIENT_MS = 15 * 60_000;
const PART_URL_SECONDS = 3600;
// The client answers these with an error without a status, and leaves their connection open: they are caught before.
const BUSY = new Set([408, 429, 499, 500, 502, 503, 504, 520]);
const STATUSES = Array.from({ length: 400 }, (_, index) => 200 + index).filter((status) => !BUSY.has(status));
const NO_RETRY = { disableRetry: true, maximumRetryCount: 0, baseDelayMs: 0, maximumDelayMs: 0 };
const DENIED = new Set(['AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'RequestTimeTooSkewed']);

function unavailable(message: string, cause?: unknown): CustodyError {
  return new CustodyError('STORE_UNAVAILABLE', `the object store ${message}`, { cause });
}

/** Encodes as SigV4 wants it: everything but `A-Z a-z 0-9 - _ . ~`. */
function escapeQuery(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function queryText(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => (value === '' ? name : `${name}=${escapeQuery(value)}`))
    .join('&');
}

/**
 * Signed requests to one store through the `minio` client, with a bound on silence and Custody's errors.
 * `STORE_UNAVAILABLE` for anything that may pass by itself.
 */
export class S3Session {
  readonly endpoint: string;
  private readonly client: Client;
  private readonly patientClient: Client;
  private readonly deadConnection = new WeakSet<object>();

  constructor(config: S3Config) {
    const url = URL.canParse(config.endpoint) ? new URL(config.endpoint) : null;
    if (url === null || !['http:', 'https:'].includes(url.protocol) || url.pathname !== '/')
      throw new CustodyError('CONFIG_INVALID', `the store's endpoint ${config.endpoint} is not http(s)://host[:port]`);
    this.endpoint = url.origin;
    const secure = url.protocol === 'https:';
    const open = (idleMs: number): Client =>
      new Client({
        endPoint: url.hostname,
        port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
        useSSL: secure,
        accessKey: config.accessKey,
        secretKey: config.secretKey,
        region: config.region,
        retryOptions: NO_RETRY,
        transport: { request: this.transport(secure, idleMs) },
      });
    this.client = open(IDLE_MS);
    this.patientClient = open(PATIENT_MS);
  }

  private transport(secure: boolean, idleMs: number): typeof http.request {
    const send = secure ? https.request : http.request;
    return (options: unknown, answered: unknown): http.ClientRequest => {
      const request = send(options as http.RequestOptions, (response) => {
        if (BUSY.has(response.statusCode ?? 0)) {
          response.resume();
          request.emit('error', unavailable(`is busy or failing: it answered ${response.statusCode}`));
        } else (answered as (response: IncomingMessage) => void)(response);
      });
      request.on('error', (error) => {
        if (request.reusedSocket) this.deadConnection.add(error);
      });
      request.setTimeout(idleMs, () => request.destroy(unavailable(`was silent for ${idleMs / 1000} s`)));
      return request;
    };
  }

  /** Any answer but those that mean "busy or failing". The caller consumes the stream. */
  async request(request: S3Request): Promise<S3Answer> {
    try {
      return await this.send(request);
    } catch (error) {
      const repeatable = request.repeatable ?? (request.method === 'GET' || request.method === 'HEAD');
      if (!repeatable || !(error instanceof Error) || !this.deadConnection.has(error)) throw this.explained(error);
    }
    try {
      return await this.send(request);
    } catch (error) {
      throw this.explained(error);
    }
  }

  private async send({ method, bucket, key, query, headers, body, patient }: S3Request): Promise<S3Answer> {
    const stream = await (patient === true ? this.patientClient : this.client).makeRequestAsync(
      {
        method,
        bucketName: bucket,
        pathStyle: true,
        headers: { ...headers },
        ...(key === undefined ? {} : { objectName: key }),
        ...(query === undefined ? {} : { query: queryText(query) }),
      },
      body ?? '',
      STATUSES,
    );
    return { status: stream.statusCode ?? 0, headers: stream.headers, stream };
  }

  async text(request: S3Request): Promise<S3Text> {
    const { status, headers, stream } = await this.request(request);
    const text = (await this.bytes(stream)).toString('utf8');
    return { status, headers, text, code: status < 300 ? '' : (textOf(text, 'Code') ?? '') };
  }

  async bytes(stream: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of stream) {
        size += (chunk as Buffer).length;
        assertReadable('an answer of the store', size);
        chunks.push(chunk as Buffer);
      }
    } catch (error) {
      throw this.explained(error);
    }
    return Buffer.concat(chunks);
  }

  /** A signed address for one part of an upload, so that its bytes need not be hashed for the signature. */
  partUrl(bucket: string, key: string, uploadId: string, partNumber: number): Promise<string> {
    const query = { uploadId, partNumber: String(partNumber) };
    return this.client.presignedUrl('PUT', bucket, key, PART_URL_SECONDS, query);
  }

  explained(error: unknown): unknown {
    if (error instanceof CustodyError || !(error instanceof Error)) return error;
    const { code } = error as NodeJS.ErrnoException;
    return typeof code === 'string' ? unavailable(`at ${this.endpoint} does not answer (${code})`, error) : error;
  }
}

/** The error for an answer that nobody expected. `what` says what was tried: "create statements/…". */
export function failure(what: string, { status, code, text }: Pick<S3Text, 'status' | 'code' | 'text'>): CustodyError {
  const said = textOf(text, 'Message') ?? '';
  const meaning = (): [ErrorCode, string] => {
    if (status === 401 || status === 403 || DENIED.has(code))
      return ['NOT_AUTHORISED', `the store's account may not ${what}`];
    if (code === 'NoSuchBucket') return ['CONFIG_INVALID', `cannot ${what}: the bucket does not exist`];
    if (code === 'ConditionalRequestConflict' || code === 'OperationAborted')
      return ['STORE_UNAVAILABLE', `cannot ${what}: somebody else is changing it at this moment`];
    if (status === 507) return ['NO_SPACE', `cannot ${what}: the store is full`];
    if (/object\s*lock/i.test(said) && status === 400)
      return ['STORE_NOT_WORM', `cannot ${what}: the bucket has no Object Lock; it must be created with it`];
    return ['INTERNAL', `cannot ${what}`];
  };
  const [kind, message] = meaning();
  const answer = [code === '' ? String(status) : code, said].filter((part) => part !== '').join(': ');
  return new CustodyError(kind, `${message} (the store answered ${answer})`);
}
