import { readFile } from 'node:fs/promises';
import { CustodyError, isPermanent } from '../domain/errors.js';
import type { TokenConfig } from './config.js';
import { NamedLocks } from './locks.js';
import { check, type Cryptoki, type Ulong } from './pkcs11.js';
import { demandMechanisms, TokenSession } from './token-session.js';

const CKF_OS_LOCKING_OK = 0x2;
const CKF_RW_SESSION = 0x2;
const CKF_SERIAL_SESSION = 0x4;
const CKF_USER_PIN_FINAL_TRY = 0x2_0000;
const CKU_USER = 1;

/** CK_TOKEN_INFO ("Slot and token types"): a label of 32 bytes, filled with blanks, first; flags after 96. */
const TOKEN_INFO = { bytes: 208, labelBytes: 32, flagsAt: 96 } as const;

/**
 * One token with one session, on which one thing happens at a time. Whatever fails but for a reason that lasts is tried once
 * more, with everything opened anew: so what is done must be able to happen twice.
 */
export class Token {
  readonly #config: TokenConfig;
  readonly #vault: string;
  readonly #cryptoki: Cryptoki;
  readonly #locks = new NamedLocks();
  #session: TokenSession | null = null;
  #refused: CustodyError | null = null;

  private constructor(config: TokenConfig, vault: string, cryptoki: Cryptoki) {
    this.#config = config;
    this.#vault = vault;
    this.#cryptoki = cryptoki;
  }

  /** CONFIG_INVALID: no such module or token, a wrong PIN, or a token that cannot do what is needed. */
  static async open(config: TokenConfig, vault: string, load: (module: string) => Promise<Cryptoki>): Promise<Token> {
    const token = new Token(config, vault, await load(config.module));
    token.#session = await token.#start();
    return token;
  }

  use<T>(act: (session: TokenSession) => Promise<T>): Promise<T> {
    return this.#locks.hold(['session'], async () => {
      if (this.#session !== null) {
        try {
          return await act(this.#session);
        } catch (error) {
          if (!(error instanceof CustodyError) || isPermanent(error.code)) throw error;
          this.#session = null;
        }
      }
      this.#session = await this.#startAgain();
      return act(this.#session);
    });
  }

  /** Whatever keeps the token from being opened, once it was, is an outage. */
  async #startAgain(): Promise<TokenSession> {
    try {
      return await this.#start();
    } catch (error) {
      if (!(error instanceof CustodyError)) throw error;
      throw new CustodyError('VAULT_UNAVAILABLE', error.message, { details: error.details, cause: error });
    }
  }

  /** Ends what the module remembers: some notice only then that a token has come back. */
  async #start(): Promise<TokenSession> {
    if (this.#refused !== null) throw this.#refused;
    const cryptoki = this.#cryptoki;
    // It has not been initialized at the first start, and says so.
    await cryptoki.C_Finalize(null);
    const mutexes = { create: null, destroy: null, lock: null, unlock: null };
    check('C_Initialize', await cryptoki.C_Initialize({ ...mutexes, flags: CKF_OS_LOCKING_OK, reserved: null }));
    const slot = await this.#slot();
    await demandMechanisms(cryptoki, slot, this.#config.token);
    const session: [Ulong] = [0];
    const flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    check('C_OpenSession', await cryptoki.C_OpenSession(slot, flags, null, null, session));
    await this.#login(session[0]);
    return new TokenSession(cryptoki, session[0], this.#vault);
  }

  async #slot(): Promise<Ulong> {
    const { token, module } = this.#config;
    const count: [Ulong] = [0];
    check('C_GetSlotList', await this.#cryptoki.C_GetSlotList(1, null, count));
    const slots: Ulong[] = Array.from({ length: Number(count[0]) }, () => 0);
    check('C_GetSlotList', await this.#cryptoki.C_GetSlotList(1, slots, count));
    const found: Ulong[] = [];
    for (const slot of slots) {
      const info = Buffer.alloc(TOKEN_INFO.bytes);
      check('C_GetTokenInfo', await this.#cryptoki.C_GetTokenInfo(slot, info));
      if (info.toString('utf8', 0, TOKEN_INFO.labelBytes).trimEnd() !== token) continue;
      // The last try is a person's: who starts us again and again would lock the token.
      if ((info.readUInt32LE(TOKEN_INFO.flagsAt) & CKF_USER_PIN_FINAL_TRY) !== 0)
        throw new CustodyError(
          'CONFIG_INVALID',
          `the token ${token} has one try for its PIN left: log in by hand first`,
        );
      found.push(slot);
    }
    const [slot, another] = found;
    if (slot !== undefined && another === undefined) return slot;
    const many = another === undefined ? 'no token' : 'more than one token';
    throw new CustodyError('CONFIG_INVALID', `the PKCS#11 module ${module} has ${many} with the label ${token}`);
  }

  /** A PIN that was refused once is not tried again by this process: tokens lock. */
  async #login(session: Ulong): Promise<void> {
    const pin = await this.#pin();
    const answer = await this.#cryptoki.C_Login(session, CKU_USER, pin, pin.length);
    pin.fill(0);
    try {
      check('C_Login', answer);
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'CONFIG_INVALID') throw error;
      const { token, pinFile } = this.#config;
      const problem = `the token ${token} refuses the PIN in ${pinFile} (${String(error.details['ckr'])})`;
      this.#refused = new CustodyError('CONFIG_INVALID', `${problem}: it is not tried again before the next start`);
      throw this.#refused;
    }
  }

  async #pin(): Promise<Buffer> {
    const { pinFile } = this.#config;
    try {
      const bytes = await readFile(pinFile);
      const end = bytes.findIndex((byte) => byte === 0x0a || byte === 0x0d);
      return end < 0 ? bytes : bytes.subarray(0, end);
    } catch (cause) {
      throw new CustodyError('CONFIG_INVALID', `cannot read the token's PIN in ${pinFile}`, { cause });
    }
  }
}
