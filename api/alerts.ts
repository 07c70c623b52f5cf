import { timingSafeEqual } from 'node:crypto';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import { findAuthority, type Policy } from '../domain/policy.js';
import { readNotification, type ToldAlert } from '../formats/alertmanager.js';
import type { SigningKey } from '../formats/keys.js';
import { signAlert } from '../formats/requests.js';
import { sha256 } from '../formats/sha256.js';
import { keyRing } from '../formats/statements.js';
import { HttpRefusal, type Call, type Reply } from './http.js';
import { Pace } from './pace.js';
import { Remembered } from './remembered.js';
import type { AlertCourier } from './temporal.js';

/** A group of Alertmanager's can have many alerts; its `max_alerts` bounds them. */
const MAX_BODY_BYTES = 1024 * 1024;
const PER_MODEL = 30;
const PER_MINUTE = 300;

export interface AlertsDeps {
  /** The authority that the key belongs to: a monitor, and nothing else. */
  readonly id: string;
  readonly key: SigningKey;
  /** SHA-256 of the token that Alertmanager shows. */
  readonly token: Digest;
  readonly courier: AlertCourier;
  readonly now?: () => number;
}

export interface Surroundings {
  readonly environment: string;
  /** The newest policy, also after it has expired: an alert lowers exposure. */
  readonly policy: () => Policy;
  readonly signed: (alert: ToldAlert) => void;
}

/** Alertmanager's webhook: what fires is signed as a monitor's word and handed to the model's endpoint, each firing once. */
export class AlertWebhook {
  readonly #deps: AlertsDeps;
  readonly #around: Surroundings;
  readonly #known: Remembered;
  readonly #pace: Pace;

  constructor(deps: AlertsDeps, around: Surroundings) {
    this.#deps = deps;
    this.#around = around;
    this.#known = new Remembered(deps.now);
    this.#pace = new Pace(PER_MODEL, PER_MINUTE, deps.now);
  }

  /** What cannot be handed on now is answered 503, so that Alertmanager tells it again. */
  async receive(token: string, call: Call): Promise<Reply> {
    const { id, key } = this.#deps;
    if (!timingSafeEqual(Buffer.from(sha256(token)), Buffer.from(this.#deps.token)))
      throw new HttpRefusal(401, 'NOT_AUTHORISED', "the token is not Alertmanager's", { 'www-authenticate': 'Bearer' });
    assertMonitor(this.#around.policy(), id, key);
    const { firing, resolved, nameless } = readNotification(await call.json(MAX_BODY_BYTES));
    const count = { signed: 0, known: 0, resolved };
    for (const alert of firing) {
      const told = await this.#tell(alert);
      count[told === 'done' ? 'signed' : 'known'] += 1;
    }
    if (nameless > 0)
      throw new CustodyError(
        'MALFORMED',
        `${nameless} firing alerts have no label model, or a version or release that is none`,
      );
    return { status: 200, body: count };
  }

  async #tell(alert: ToldAlert): Promise<'done' | 'known'> {
    const { key, courier } = this.#deps;
    const { environment, signed } = this.#around;
    const act = async (): Promise<void> => {
      await courier(alert.model, signAlert({ key, environment }, alert));
      signed(alert);
    };
    const told = await this.#known.once(alert.nonce, act, () => this.#pace.take(alert.model));
    if (told !== null) return told;
    const headers = { 'retry-after': '60' };
    throw new HttpRefusal(
      503,
      'PENDING',
      `more than ${PER_MODEL} alerts of a model in a minute: tell them again`,
      headers,
    );
  }
}

/** The webhook can never do more than a monitor: a key with any other role signs no alert. */
function assertMonitor(policy: Policy, id: string, key: SigningKey): void {
  const isOwn = keyRing(policy).some((held) => held.owner === id && held.key.keyId === key.keyId);
  const roles = findAuthority(policy, id)?.roles ?? [];
  if (isOwn && roles.length === 1 && roles[0] === 'monitor') return;
  throw new CustodyError('NOT_AUTHORISED', `the policy must give the role monitor, and no other, to the key of ${id}`);
}
