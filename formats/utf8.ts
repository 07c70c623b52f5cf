import { CustodyError } from '../domain/errors.js';

/** MALFORMED, naming `what`, unless the bytes are UTF-8; a byte-order mark is kept. */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CustodyError('MALFORMED', `${what} is not UTF-8`, { details: { what }, cause });
  }
}

/**
 * At which byte of a text in UTF-8 its characters stand. Counted from the place that was asked for before: many places of one
 * text cost no more than the ways between them.
 */
export class BytePlaces {
  private readonly text: string;
  private known = 0;
  private bytes = 0;

  constructor(text: string) {
    this.text = text;
  }

  before(at: number): number {
    const between = Buffer.byteLength(this.text.slice(Math.min(this.known, at), Math.max(this.known, at)));
    this.bytes += at < this.known ? -between : between;
    this.known = at;
    return this.bytes;
  }
}
