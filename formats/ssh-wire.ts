import { CustodyError } from '../domain/errors.js';

const LENGTH_BYTES = 4;

/**
 * Reads SSH's wire format (RFC 4251, section 5) from the front, and never past its end. MALFORMED for whatever is not
 * there, longer than asked for, or left over.
 */
export class SshReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  raw(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.#malformed('it ends too early');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  byte(): number {
    return this.raw(1).readUInt8();
  }

  uint32(): number {
    return this.raw(LENGTH_BYTES).readUInt32BE();
  }

  string(maxLength: number): Buffer {
    const length = this.uint32();
    if (length > maxLength) throw this.#malformed(`a field of ${length} bytes, at most ${maxLength} are read`);
    return this.raw(length);
  }

  /** A string of printable ASCII: the names of algorithms, namespaces and applications. */
  name(maxLength = 64): string {
    const text = this.string(maxLength).toString('latin1');
    if (!/^[\x21-\x7e]*$/.test(text)) throw this.#malformed('a name in it is not printable ASCII');
    return text;
  }

  /** An mpint that is positive, in its one shortest encoding, as `length` big-endian bytes. */
  positive(length: number): Buffer {
    const bytes = this.string(length + 1);
    const [first = 0, second = 0] = bytes;
    const isNegative = first >= 0x80;
    const isPadded = first === 0 && second < 0x80;
    const digits = first === 0 ? bytes.subarray(1) : bytes;
    if (isNegative || isPadded || digits.length > length)
      throw this.#malformed('a number in it is negative, zero, too large or not in its shortest form');
    return Buffer.concat([Buffer.alloc(length - digits.length), digits]);
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw this.#malformed(`${left} bytes follow its end`);
  }

  #malformed(problem: string): CustodyError {
    return new CustodyError('MALFORMED', `${this.#what} is not acceptable: ${problem}`, {
      details: { what: this.#what },
    });
  }
}

/** A string of SSH's wire format. */
export function sshString(bytes: Uint8Array | string): Buffer {
  const content = Buffer.from(bytes);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}
