import { CustodyError } from '../domain/errors.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { openCheckpoint, type Checkpoint } from './checkpoint.js';
import { type LogVerifier } from './signed-note.js';
import { leafHash, verifyInclusion } from './tlog.js';

/** Shows, without the log, that it holds an entry: C2SP tlog-proof v1, with the entry itself as its extra data. */
export interface LogProof {
  readonly index: number;
  readonly entry: Buffer;
  /** From the leaf's sibling up: RFC 6962, section 2.1.1. */
  readonly path: readonly Buffer[];
  /** The signed note that commits to the root. */
  readonly checkpoint: Buffer;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
const INDEX = /^index (0|[1-9]\d{0,15})$/;
const MAX_PROOF_BYTES = 256 * 1024;

export function encodeProof({ index, entry, path, checkpoint }: LogProof): string {
  const lines = [HEADER, `extra ${encodeBase64(entry)}`, `index ${index}`, ...path.map((hash) => encodeBase64(hash))];
  return `${lines.join('\n')}\n\n${checkpoint.toString('utf8')}`;
}

/** MALFORMED unless it is such a proof, and has its entry with it. What it says is not checked. */
export function decodeProof(bytes: Buffer): LogProof {
  if (bytes.length > MAX_PROOF_BYTES) throw malformed(`${bytes.length} bytes, at most ${MAX_PROOF_BYTES} are read`);
  const text = bytes.toString('utf8');
  const split = text.indexOf('\n\n');
  if (split < 0) throw malformed('no checkpoint follows');
  const [header, extra, indexLine, ...path] = text.slice(0, split).split('\n');
  if (header !== HEADER) throw malformed(`its first line is not ${HEADER}`);
  const encoded = /^extra (\S+)$/.exec(extra ?? '')?.[1];
  if (encoded === undefined) throw malformed('its second line does not hold the entry');
  const index = Number(INDEX.exec(indexLine ?? '')?.[1]);
  if (!Number.isSafeInteger(index)) throw malformed('its third line does not hold the index');
  return {
    index,
    entry: decodeBase64(encoded, 'the entry of the proof'),
    path: path.map((hash) => decodeBase64(hash, 'a hash of the proof')),
    checkpoint: Buffer.from(text.slice(split + 2)),
  };
}

/**
 * Answers the checkpoint that covers the entry. SIGNATURE_INVALID where `verifier` has not signed it, LOG_INVALID where it does
 * not commit to this entry at this index.
 */
export function verifyProof({ index, entry, path, checkpoint }: LogProof, verifier: LogVerifier): Checkpoint {
  const signed = openCheckpoint(checkpoint, verifier);
  if (verifyInclusion(index, signed.size, leafHash(entry), Buffer.from(signed.root, 'hex'), path)) return signed;
  throw new CustodyError('LOG_INVALID', `the proof does not lead from entry ${index} to the root that was signed`, {
    details: { index },
  });
}

function malformed(problem: string): CustodyError {
  return new CustodyError('MALFORMED', `the proof is not acceptable: ${problem}`);
}
