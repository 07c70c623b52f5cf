import { describe, expect, it } from 'vitest';
import { parseGitCommit } from '../../../formats/git-commit.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { importSshBlob } from '../../../formats/ssh-keys.js';
import { isSshSignature, readSshSignature, signSsh } from '../../../formats/sshsig.js';

const TREE = 'a'.repeat(40);
const PARENT = 'b'.repeat(40);
const WHO = 'Ada <ada@example.org> 1790000000 +0100';
const headers = [`tree ${TREE}`, `parent ${PARENT}`, `author ${WHO}`, `committer ${WHO}`];
const commit = (lines: readonly string[] = headers, message = 'why\n\nand how\n'): Buffer =>
  Buffer.from(`${lines.join('\n')}\n\n${message}`);
const key = importPrivateKey(generateKey('ed25519').privatePem);
const header = (armored: string, name = 'gpgsig'): string => `${name} ${armored.trimEnd().replaceAll('\n', '\n ')}`;

describe('a commit', () => {
  it('is read with its parents and when it was committed', () => {
    const parsed = parseGitCommit(commit());
    expect(parsed).toMatchObject({ tree: TREE, parents: [PARENT], committedAt: 1_790_000_000_000, signature: null });
    expect(parsed.signed).toEqual(commit());
    expect(parseGitCommit(commit(headers.filter((line) => !line.startsWith('parent')))).parents).toEqual([]);
  });

  it('has a signature over all of it but the signature', () => {
    const armored = signSsh(key, commit(), 'git');
    const { signature, signed } = parseGitCommit(commit([...headers, header(armored), 'encoding UTF-8']));
    expect(signed).toEqual(commit([...headers, 'encoding UTF-8']));
    if (signature === null) throw new Error('no signature');
    const found = importSshBlob(readSshSignature(signature).publicKey);
    expect(found.keyId).toBe(key.keyId);
    expect(isSshSignature(found, commit(), signature, 'git')).toBe(true);
    expect(isSshSignature(found, signed, signature, 'git')).toBe(false);
    expect(isSshSignature(found, commit(), signature)).toBe(false);
  });

  it('attack: two signatures, or one of another kind, are none', () => {
    const armored = signSsh(key, commit(), 'git');
    for (const lines of [
      [header(armored), header(armored)],
      [header(armored), header(armored, 'gpgsig-sha256')],
      [header('-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----')],
    ])
      expect(parseGitCommit(commit([...headers, ...lines])).signature).toBeNull();
  });

  it.each([
    ['no message', Buffer.from(headers.join('\n'))],
    ['two trees', commit([`tree ${TREE}`, ...headers])],
    ['no tree', commit(headers.slice(1))],
    ['a parent that is no id', commit(['tree '.concat(TREE), 'parent --upload-pack=x', ...headers.slice(2)])],
    ['no committer', commit(headers.slice(0, 3))],
    ['a committer without a time', commit([...headers.slice(0, 3), 'committer Ada <a@b>'])],
    ['a header without a name', commit([' x', ...headers])],
    ['bytes that are no text', Buffer.concat([Buffer.from([0xff]), commit()])],
  ])('attack: %s', (_, object) => {
    expect(() => parseGitCommit(object)).toThrow(expect.objectContaining({ code: 'MALFORMED' }) as Error);
  });
});
