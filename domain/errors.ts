/**
 * The closed union of everything that can go wrong in Custody, and what it means for retries and exit codes.
 * A code is stable: scripts and tests match on it, people read the message.
 */
const CODES = {
  // 1: unexpected
  INTERNAL: { exit: 1, permanent: false },
  // 2: usage or configuration
  USAGE: { exit: 2, permanent: true },
  CONFIG_INVALID: { exit: 2, permanent: true },
  INPUT_MISSING: { exit: 2, permanent: true },
  INPUT_EMPTY: { exit: 2, permanent: true },
  INPUT_UNSAFE: { exit: 2, permanent: true },
  VERSION_INVALID: { exit: 2, permanent: true },
  NO_SPACE: { exit: 2, permanent: false },
  PORT_IN_USE: { exit: 2, permanent: true },
  // 3: refused by policy or verification
  MALFORMED: { exit: 3, permanent: true },
  SIGNATURE_INVALID: { exit: 3, permanent: true },
  PROVENANCE_INVALID: { exit: 3, permanent: true },
  CUSTODY_BROKEN: { exit: 3, permanent: true },
  UNSIGNED: { exit: 3, permanent: true },
  POLICY_REFUSED: { exit: 3, permanent: true },
  POLICY_EXPIRED: { exit: 3, permanent: true },
  VERSION_TAKEN: { exit: 3, permanent: true },
  VERSION_TOO_SMALL: { exit: 3, permanent: true },
  EXPIRED: { exit: 3, permanent: true },
  REVOKED: { exit: 3, permanent: true },
  ERASED: { exit: 3, permanent: true },
  HELD: { exit: 3, permanent: true },
  STATUS_STALE: { exit: 3, permanent: false },
  VALIDATION_FAILED: { exit: 3, permanent: true },
  TRAINING_FAILED: { exit: 3, permanent: true },
  REPLAYED: { exit: 3, permanent: true },
  SANDBOX_UNAVAILABLE: { exit: 3, permanent: true },
  // 4: not authorised
  NOT_AUTHORISED: { exit: 4, permanent: true },
  // 5: pending
  PENDING: { exit: 5, permanent: false },
  // 6: integrity violated
  DIGEST_MISMATCH: { exit: 6, permanent: true },
  LOG_INVALID: { exit: 6, permanent: true },
  WORM_VIOLATED: { exit: 6, permanent: true },
  // 7: a dependency is down
  STORE_UNAVAILABLE: { exit: 7, permanent: false },
  STORE_CONFLICT: { exit: 7, permanent: false },
  STORE_NOT_WORM: { exit: 7, permanent: true },
  VAULT_UNAVAILABLE: { exit: 7, permanent: false },
  GATEWAY_UNAVAILABLE: { exit: 7, permanent: false },
  TEMPORAL_UNAVAILABLE: { exit: 7, permanent: false },
  API_UNAVAILABLE: { exit: 7, permanent: false },
  REPOSITORY_UNAVAILABLE: { exit: 7, permanent: false },
  ISSUER_UNAVAILABLE: { exit: 7, permanent: false },
  MAIL_UNAVAILABLE: { exit: 7, permanent: false },
  WEBHOOK_UNAVAILABLE: { exit: 7, permanent: false },
  WEBHOOK_REFUSED: { exit: 7, permanent: true },
  MODEL_SERVER_FAILED: { exit: 7, permanent: false },
  TOOL_MISSING: { exit: 7, permanent: true },
  // 130: interrupted
  INTERRUPTED: { exit: 130, permanent: true },
} as const satisfies Record<string, { exit: number; permanent: boolean }>;

export type ErrorCode = keyof typeof CODES;
export const ERROR_CODES = Object.keys(CODES) as readonly ErrorCode[];

/** Data that travels with an error: plain JSON, never a secret, never model bytes. */
export type ErrorDetails = Record<string, string | number | boolean | null | readonly string[]>;

export class CustodyError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CustodyError';
    this.code = code;
    this.details = options.details ?? {};
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(CODES, value);
}

/** True when trying again helps only once somebody has lent a hand: whoever waits says so. */
export function needsHands(code: ErrorCode): boolean {
  return code === 'NO_SPACE';
}

/** True when trying again cannot help. */
export function isPermanent(code: ErrorCode): boolean {
  return CODES[code].permanent;
}

/** Whether a reference leads to nothing that counts: whoever can write to the store can leave any there. */
export function leadsNowhere(error: unknown): error is CustodyError {
  return error instanceof CustodyError && (error.code === 'PENDING' || isPermanent(error.code));
}

export function exitCodeOf(code: ErrorCode): number {
  return CODES[code].exit;
}
