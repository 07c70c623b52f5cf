import { createHmac, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import {
  authoriseDeclaration,
  ConsumerRegistry,
  identityKey,
  isEffective,
  type ConsumerIdentity,
} from '../domain/consumers.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { CallersReport, ConsumersAdmitted } from '../domain/gateway.js';
import { CALLER_KINDS } from '../domain/inventory.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { isoTime, outsideValidity } from '../domain/time.js';
import { consumersDigest, holderOf, readDeclaration, type Declaration, type Holder } from '../formats/consumers.js';
import { envelopeDigest, parseEnvelope } from '../formats/dsse.js';
import { demand, type Policies } from '../formats/evidence.js';
import { sha256 } from '../formats/sha256.js';
import { DurableFile, readDurable } from './durable-file.js';
import type { Refusal } from './refusal.js';
import { Sightings, type Caller } from './sightings.js';

export interface CallersDeps {
  readonly environment: string;
  /** The folder of its file. */
  readonly state: string;
  /** Whether there is an endpoint of this model: callers of others are not counted. */
  readonly isServed: (model: string) => boolean;
  readonly report: (error: unknown, what: string) => void;
}

const FILE = 'callers.json';
const SAVE_MS = 60_000;
const NAME = /^[\x21-\x7e]{1,200}$/;
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]{1,4096}=*) *$/i;
const ANONYMOUS: Caller = { kind: 'anonymous', id: '' };

const seen = z.strictObject({
  id: z.string(),
  kind: z.enum(CALLER_KINDS),
  firstSeen: z.string(),
  lastSeen: z.string(),
  requests: z.int(),
  refused: z.int(),
  perSecond: z.number(),
});
const schema = z.strictObject({
  consumers: z.array(z.unknown().transform(parseEnvelope)),
  models: z.array(
    z.strictObject({
      model: z.string(),
      callers: z.array(seen),
      overflow: z.strictObject({ requests: z.int(), refused: z.int() }),
    }),
  ),
});

/** Who calls: declared consumers by what proves them, everybody else by what they say. And who has called so far. */
export class Callers {
  readonly #deps: CallersDeps;
  readonly #file: DurableFile;
  readonly #sightings = new Map<string, Sightings>();
  /** No caller knows it, so nobody learns from the time of a look-up how near a guess was. */
  readonly #blind = randomBytes(32);
  #registry = new ConsumerRegistry<Declaration>();
  #consumers: Digest = consumersDigest([]);
  #proofs: ReadonlyMap<string, string> = new Map();
  #policies: Policies | null = null;
  /** Statements that the last process had admitted, until a policy says what they are worth. */
  #kept: readonly SignedEnvelope[] = [];
  #savedAt = 0;

  constructor(deps: CallersDeps) {
    this.#deps = deps;
    this.#file = new DurableFile(deps.state, FILE, () => JSON.stringify(this.#snapshot()));
    const before = readDurable(deps.state, FILE, schema);
    this.#kept = before?.consumers ?? [];
    for (const each of before?.models ?? []) this.#sightings.set(each.model, new Sightings(each.model, each));
  }

  /** Of the newest statements that are held, by which control sees what is missing. */
  get consumers(): Digest {
    return this.#consumers;
  }

  /** A newer policy may trust others than the one before: everything is judged again. */
  follow(policies: Policies): void {
    const held = [...this.#kept, ...this.#registry.all().map(({ envelope }) => envelope)];
    this.#policies = policies;
    this.#kept = [];
    this.#registry = new ConsumerRegistry();
    for (const envelope of held)
      try {
        this.#take(envelope, policies, isoTime(Date.now()));
      } catch (error) {
        this.#deps.report(error, 'what was known of a consumer no longer counts');
      }
    this.#index();
  }

  /** Takes what is newer than what it has. Each statement stands for itself; what is refused is named, and changes nothing. */
  async admit(envelopes: readonly unknown[]): Promise<ConsumersAdmitted> {
    if (this.#policies === null)
      throw new CustodyError('PENDING', 'no policy has been delivered here yet: control does it within seconds');
    const now = isoTime(Date.now());
    const refused: ConsumersAdmitted['refused'][number][] = [];
    // Control says all again where one is new: what is held to the last byte has been verified under these very policies.
    const held = new Set(this.#registry.all().map(({ digest }) => digest));
    for (const [at, envelope] of envelopes.entries())
      try {
        if (!held.has(envelopeDigest(parseEnvelope(envelope)))) this.#take(envelope, this.#policies, now);
      } catch (error) {
        if (!(error instanceof CustodyError)) throw error;
        refused.push({ at, code: error.code, reason: error.message });
      }
    // In force before it is on disk: a removal must not wait, and what is lost control delivers again.
    this.#index();
    await this.#file.save();
    return { consumers: this.#consumers, refused };
  }

  /** Who sends these headers over a connection whose other end has proved to be `peer`, if anybody. */
  identify(headers: IncomingHttpHeaders, peer: Holder | null): Caller {
    const token = BEARER.exec(headers.authorization ?? '')?.[1];
    const digest = token === undefined ? null : sha256(token);
    const byToken = digest === null ? null : this.#proved({ kind: 'token', sha256: digest });
    const byPeer =
      peer === null
        ? null
        : (this.#proved({ kind: 'certificate', spki: peer.spki }) ??
          this.#proved({ kind: 'subject', subject: peer.subject }));
    // A token that travels with somebody else's certificate has changed hands: it proves neither.
    if (byToken !== null && byPeer !== null && byToken !== byPeer)
      return { kind: 'unknown', id: `token-of:${byToken}/certificate-of:${byPeer}` };
    const id = byPeer ?? byToken;
    if (id !== null) return { kind: 'declared', id };
    const named = headers['x-custody-caller'];
    if (typeof named === 'string' && NAME.test(named)) return { kind: 'unknown', id: named };
    if (digest !== null) return { kind: 'unknown', id: `token:${digest.slice(0, 12)}` };
    if (peer !== null) return { kind: 'unknown', id: `certificate:${peer.spki.slice(0, 12)}` };
    return ANONYMOUS;
  }

  /** Counts a request of the model; `null` where it may go on. */
  judge(caller: Caller, model: string, now: number): Refusal | null {
    const judged = this.#for(caller, model, now);
    const refusal = this.#policies?.newest.inventory?.unknownCallers === 'refuse' ? refusalOf(judged, model) : null;
    if (!this.#deps.isServed(model)) return refusal;
    const sightings = this.#sightings.get(model) ?? new Sightings(model);
    this.#sightings.set(model, sightings);
    const isNew = sightings.count(judged, refusal !== null, now);
    // A new caller is rare, and after a crash it must still be told of a retirement.
    if (isNew || now - this.#savedAt > SAVE_MS) this.#saveSoon(now);
    return refusal;
  }

  /** A release in preview is for those who prove to be declared consumers of the model, and for nobody who only says so. */
  mayPreview(caller: Caller, model: string, now: number): boolean {
    return this.#for(caller, model, now).kind === 'declared';
  }

  report(): CallersReport {
    const now = Date.now();
    return { models: [...this.#sightings.values()].map((each) => each.report(now)) };
  }

  close(): Promise<void> {
    return this.#file.save();
  }

  #for(caller: Caller, model: string, now: number): Caller {
    if (caller.kind !== 'declared') return caller;
    const declared = this.#registry.get(caller.id);
    if (declared === null || !isEffective(declared, now)) return { kind: 'unknown', id: caller.id };
    return declared.predicate.models.includes(model) ? caller : { kind: 'undeclared', id: caller.id };
  }

  #take(envelope: unknown, policies: Policies, now: string): void {
    const next = readDeclaration(envelope, policies);
    const { consumer, sequence, environment } = next.predicate;
    const held = this.#registry.get(consumer);
    if (held?.digest === next.digest) return;
    if (next.counts) {
      const { newest } = policies;
      demand(
        authoriseDeclaration(next.verified, {
          environment: this.#deps.environment,
          newest,
          known: this.#registry,
          now,
        }),
      );
      if (outsideValidity(next.predicate, now) === 'not yet valid')
        throw new CustodyError('EXPIRED', `the statement about ${consumer} is not yet valid`);
    } else if (environment !== this.#deps.environment || sequence <= (held?.predicate.sequence ?? 0))
      throw new CustodyError('REPLAYED', `${consumer} is known by a newer statement`);
    this.#registry.take(next);
  }

  #index(): void {
    const proofs = new Map<string, string>();
    const now = Date.now();
    for (const { predicate } of this.#registry.all())
      for (const identity of predicate.identities)
        if (this.#registry.holder(identityKey(identity), now) === predicate.consumer)
          proofs.set(this.#hidden(identity), predicate.consumer);
    this.#proofs = proofs;
    this.#consumers = consumersDigest(this.#registry.all());
  }

  #proved(identity: ConsumerIdentity): string | null {
    if (this.#proofs.size === 0) return null;
    const id = this.#proofs.get(this.#hidden(identity));
    const declared = id === undefined ? null : this.#registry.get(id);
    return declared !== null && isEffective(declared, Date.now()) ? declared.predicate.consumer : null;
  }

  #hidden(identity: ConsumerIdentity): string {
    return createHmac('sha256', this.#blind).update(identityKey(identity)).digest('base64');
  }

  #saveSoon(now: number): void {
    this.#savedAt = now;
    this.#file.save().catch((error: unknown) => this.#deps.report(error, 'who has called could not be written'));
  }

  #snapshot(): CallersReport & { readonly consumers: readonly SignedEnvelope[] } {
    const now = Date.now();
    return {
      consumers: [...this.#kept, ...this.#registry.all().map(({ envelope }) => envelope)],
      models: [...this.#sightings.values()].map((each) => each.report(now)),
    };
  }
}

function refusalOf({ kind, id }: Caller, model: string): Refusal | null {
  switch (kind) {
    case 'declared':
      return null;
    case 'undeclared':
      return { status: 403, code: 'NOT_A_CONSUMER', reason: `${id} is not declared as a consumer of ${model}` };
    case 'unknown':
    case 'anonymous':
      return {
        status: 401,
        code: 'UNKNOWN_CALLER',
        reason: 'only declared consumers are answered: send the bearer token or the certificate of one',
      };
  }
}

const peers = new WeakMap<Socket, Holder | null>();

/** Whose certificate the connection was opened with; `null` without one that the gateway's own authority has signed. */
export function peerOf(socket: Socket): Holder | null {
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const certificate = socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined;
  const peer = certificate === undefined ? null : holderOf(certificate);
  peers.set(socket, peer);
  return peer;
}
