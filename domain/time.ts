/** Clocks may differ by this much before a time counts as lying in the future. */
export const MAX_SKEW_MS = 60_000;

/** ISO 8601 in UTC with milliseconds: the one form of time in Custody. */
export function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

export function plusSeconds(iso: string, seconds: number): string {
  return isoTime(Date.parse(iso) + seconds * 1000);
}

export function isIsoTime(value: string): boolean {
  const ms = Date.parse(value);
  return !Number.isNaN(ms) && isoTime(ms) === value;
}

export interface Validity {
  readonly issuedAt: string;
  readonly expiresAt: string;
}

/** `null` when `now` lies inside, else why not. */
export function outsideValidity({ issuedAt, expiresAt }: Validity, now: string): 'expired' | 'not yet valid' | null {
  const at = Date.parse(now);
  if (at > Date.parse(expiresAt)) return 'expired';
  return Date.parse(issuedAt) > at + MAX_SKEW_MS ? 'not yet valid' : null;
}
