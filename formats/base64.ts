import { CustodyError } from '../domain/errors.js';

/** Standard alphabet, padded (RFC 4648, section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * Decodes padded base64 in the standard or the URL-safe alphabet, and nothing else: every byte string has exactly two
 * accepted texts, so no two readers can see different bytes. `what` names the field in the error (MALFORMED).
 */
export function decodeBase64(text: string, what: string): Buffer {
  // Buffer skips junk, so what it understood is written again and must be the text that came.
  const bytes = Buffer.from(text, 'base64');
  const standard = bytes.toString('base64');
  if (text === standard || text === standard.replaceAll('+', '-').replaceAll('/', '_')) return bytes;
  throw new CustodyError(
    'MALFORMED',
    `${what} is not base64: expected padded base64 in the standard or the URL-safe alphabet, without white space`,
    { details: { what } },
  );
}
