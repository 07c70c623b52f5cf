import { randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { StoredConsumers } from '../adapters/consumers.js';
import { CRITICALITIES, type ConsumerIdentity, type ConsumerPredicate } from '../domain/consumers.js';
import { CustodyError } from '../domain/errors.js';
import { assertModelName, isId } from '../domain/names.js';
import { holderOf } from '../formats/consumers.js';
import { envelopeDigest } from '../formats/dsse.js';
import { sha256 } from '../formats/sha256.js';
import type { ConsumerOutcome } from '../workflows/consumer.js';
import { startConsumer } from '../workflows/messages.js';
import type { Custody } from './connect.js';
import { replaceFile } from './files.js';
import { runToEnd } from './messages.js';
import { declareConsumer, type Signer } from './requests.js';

export interface DeclareOptions {
  readonly model?: readonly string[];
  readonly endpoint?: string;
  readonly owner?: string;
  readonly criticality?: string;
  readonly contact?: string;
  readonly token?: string;
  readonly certificate?: string;
  readonly subject?: string;
  readonly days: string;
}

export type SaidConsumer = Omit<ConsumerPredicate, 'environment' | 'issuedAt' | 'expiresAt'>;
type Declared = Extract<ConsumerOutcome, { kind: 'declared' }>;

const TOKEN = /^[A-Za-z0-9._~+/-]{32,4096}=*$/;
const TOKEN_BYTES = 32;

/** What was declared last, with the next number; `null` before the first. */
export async function lastSaid({ records }: Pick<Custody, 'records'>, consumer: string): Promise<SaidConsumer | null> {
  if (!isId(consumer))
    throw new CustodyError('USAGE', `${consumer} is no id: lower-case letters, digits, dots and dashes`);
  const found = (await new StoredConsumers(records).registry()).get(consumer)?.predicate;
  if (found === undefined) return null;
  const { models, endpoint, owner, criticality, contact, identities } = found;
  return { consumer, sequence: found.sequence + 1, models, endpoint, owner, criticality, contact, identities };
}

/** What the options say of a consumer, over what was said of it before. USAGE, INPUT_MISSING. */
export function saidBy(id: string, options: DeclareOptions, before: SaidConsumer | null, signer: string): SaidConsumer {
  const models = options.model ?? before?.models ?? [];
  if (models.length === 0) throw new CustodyError('USAGE', 'name the models that it depends on, with --model');
  for (const name of [...models, ...(options.endpoint === undefined ? [] : [options.endpoint])]) assertModelName(name);
  const given = options.criticality ?? before?.criticality ?? 'normal';
  const criticality = CRITICALITIES.find((word) => word === given);
  if (criticality === undefined)
    throw new CustodyError('USAGE', `--criticality ${given}: expected one of ${CRITICALITIES.join(', ')}`);
  const identities = identitiesOf(options);
  return {
    consumer: id,
    sequence: before?.sequence ?? 1,
    models: [...new Set(models)],
    endpoint: options.endpoint ?? before?.endpoint ?? null,
    owner: options.owner ?? before?.owner ?? signer,
    criticality,
    contact: options.contact ?? before?.contact ?? id,
    identities: identities.length > 0 ? identities : (before?.identities ?? []),
  };
}

export function daysOf({ days }: Pick<DeclareOptions, 'days'>): number {
  const count = Number(days);
  if (Number.isInteger(count) && count > 0) return count;
  throw new CustodyError('USAGE', `--days ${days}: expected a whole number of days`);
}

/** Signs it, hands it in, and waits for what it comes to. */
export async function handIn(custody: Custody, signer: Signer, said: SaidConsumer, days: number): Promise<Declared> {
  const envelope = declareConsumer(signer, said, days);
  const outcome = await runToEnd<Declared>(custody, 'consumer', startConsumer(said.consumer, said.sequence), envelope);
  if (outcome.statement === envelopeDigest(envelope)) return outcome;
  throw new CustodyError(
    'STORE_CONFLICT',
    `another statement about ${said.consumer} was being taken: look at it and say again`,
  );
}

function identitiesOf({ token, certificate, subject }: DeclareOptions): readonly ConsumerIdentity[] {
  return [
    ...(token === undefined ? [] : [{ kind: 'token', sha256: sha256(tokenIn(token)) } as const]),
    ...(certificate === undefined ? [] : [{ kind: 'certificate', spki: spkiIn(certificate) } as const]),
    ...(subject === undefined ? [] : [{ kind: 'subject', subject } as const]),
  ];
}

/** Its hash is for everybody to read: a token that can be guessed can be found from it. */
function tokenIn(file: string): string {
  if (!existsSync(file)) replaceFile(file, `${randomBytes(TOKEN_BYTES).toString('base64url')}\n`, { mode: 0o600 });
  const token = readFileSync(file, 'utf8').trim();
  if (TOKEN.test(token)) return token;
  throw new CustodyError(
    'INPUT_UNSAFE',
    `${file} holds no bearer token of 32 characters or more: name a file that is not there, and one is made`,
  );
}

function spkiIn(file: string): string {
  if (!existsSync(file)) throw new CustodyError('INPUT_MISSING', `there is no file ${file}`);
  try {
    return holderOf(new X509Certificate(readFileSync(file))).spki;
  } catch (cause) {
    throw new CustodyError('MALFORMED', `${file} is no certificate`, { cause });
  }
}
