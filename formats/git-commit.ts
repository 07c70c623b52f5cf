import { CustodyError } from '../domain/errors.js';
import { isCommit } from '../domain/code-review.js';
import { decodeUtf8 } from './utf8.js';
import { dearmor } from './sshsig.js';

/** What git signs commits for: `ssh-keygen -Y sign -n git`. */
export const GIT_NAMESPACE = 'git';

export interface GitCommit {
  readonly tree: string;
  readonly parents: readonly string[];
  /** When it was committed, in milliseconds since the epoch. */
  readonly committedAt: number;
  /** The binary SSHSIG; `null` for a commit without a signature, or with one of another kind (OpenPGP, X.509). */
  readonly signature: Buffer | null;
  /** What the signature is over. */
  readonly signed: Buffer;
}

const SIGNATURE_HEADERS = ['gpgsig', 'gpgsig-sha256'];
const COMMITTER = /^.*<[^<>\n]*> (\d{1,12}) [+-]\d{4}$/;

/**
 * Reads a commit object (gitformat-commit, gitformat-signature): headers, an empty line, the message. MALFORMED: a header that
 * may stand there once stands there twice, or what names another object is no id.
 */
export function parseGitCommit(object: Buffer): GitCommit {
  const end = object.indexOf('\n\n');
  if (end < 0) throw malformed('it has no message');
  const lines = decodeUtf8(object.subarray(0, end), 'the headers of the commit').split('\n');
  const headers: { name: string; value: string; lines: string[] }[] = [];
  for (const line of lines) {
    const last = headers.at(-1);
    if (line.startsWith(' ') && last !== undefined) {
      last.value += `\n${line.slice(1)}`;
      last.lines.push(line);
    } else {
      const space = line.indexOf(' ');
      if (space <= 0) throw malformed('a header has no name');
      headers.push({ name: line.slice(0, space), value: line.slice(space + 1), lines: [line] });
    }
  }
  const all = (name: string): readonly string[] =>
    headers.filter((each) => each.name === name).map(({ value }) => value);
  const one = (name: string): string => {
    const [value, ...more] = all(name);
    if (value === undefined || more.length > 0) throw malformed(`it has ${more.length + 1} headers "${name}"`);
    return value;
  };
  const tree = one('tree');
  const parents = all('parent');
  if (![tree, ...parents].every(isCommit)) throw malformed('it names an object by no id');
  const seconds = COMMITTER.exec(one('committer'))?.[1];
  if (seconds === undefined) throw malformed('it does not say when it was committed');
  const signatures = SIGNATURE_HEADERS.flatMap(all);
  const kept = headers.filter(({ name }) => !SIGNATURE_HEADERS.includes(name)).flatMap((each) => each.lines);
  return {
    tree,
    parents,
    committedAt: Number(seconds) * 1000,
    signature: sshSignature(signatures),
    signed: Buffer.concat([Buffer.from(kept.join('\n')), object.subarray(end)]),
  };
}

/** With two signatures it is not clear what each of them is over. */
function sshSignature([armored, ...more]: readonly string[]): Buffer | null {
  if (armored === undefined || more.length > 0 || !armored.startsWith('-----BEGIN SSH SIGNATURE-----')) return null;
  return dearmor(armored);
}

function malformed(problem: string): CustodyError {
  return new CustodyError('MALFORMED', `not an acceptable commit: ${problem}`);
}
