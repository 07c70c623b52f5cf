import { describe, expect, it } from 'vitest';
import { flawInCroissant, readCroissant } from '../../../formats/croissant.js';
import { sha256 } from '../../../formats/sha256.js';

const listed = [
  { path: 'images/train.csv.gz', sha256: sha256('train') },
  { path: 'labels.json', sha256: sha256('labels') },
];

function described(...files: readonly object[]): Buffer {
  const distribution = files.map((file) => ({ '@type': 'cr:FileObject', '@id': 'it', ...file }));
  return Buffer.from(JSON.stringify({ '@context': {}, '@type': 'sc:Dataset', name: 'digits', distribution }));
}
const flaw = (...files: readonly object[]): string | null =>
  flawInCroissant(readCroissant(described(...files)), listed);

describe('a Croissant description', () => {
  it('fits the files it names, by path or by the name that an address ends with', () => {
    const train = { contentUrl: 'images/train.csv.gz', sha256: sha256('train') };
    const labels = { contentUrl: 'https://data.example.org/v1/labels.json?download=1', sha256: sha256('labels') };
    expect(flaw(train, labels)).toBeNull();
    expect(flaw({ ...train, sha256: sha256('train').toUpperCase() })).toBeNull();
    // Of an archive that is described itself.
    expect(flaw(train, { contentUrl: 'a.csv', containedIn: { '@id': 'archive' } })).toBeNull();
    expect(flaw(train, { '@type': 'cr:FileSet', includes: '*.csv' })).toBeNull();
  });

  it.each<[string, object, RegExp]>([
    ['another hash', { contentUrl: 'labels.json', sha256: sha256('others') }, /described with/],
    ['no hash', { contentUrl: 'labels.json' }, /no SHA-256/],
    ['words for a hash', { contentUrl: 'labels.json', sha256: 'https://example.org/issues/80' }, /no SHA-256/],
    ['a file that is not here', { contentUrl: 'more.json', sha256: sha256('labels') }, /is not here/],
    ['a path that climbs', { contentUrl: '../labels.json', sha256: sha256('labels') }, /lies outside/],
    ['an absolute path', { contentUrl: '/etc/passwd', sha256: sha256('labels') }, /lies outside/],
    ['a file address', { contentUrl: 'file:///etc/passwd', sha256: sha256('labels') }, /lies outside/],
    [
      'an address elsewhere',
      { contentUrl: 'https://evil.example/more.json', sha256: sha256('more') },
      /lies elsewhere/,
    ],
    [
      'an address with the hash of another file',
      { contentUrl: 'https://x.example/labels.json', sha256: sha256('train') },
      /lies elsewhere/,
    ],
    ['an address that is none', { contentUrl: 'https://%/labels.json', sha256: sha256('labels') }, /lies elsewhere/],
    ['no place', { sha256: sha256('labels') }, /lies outside/],
  ])('attack: with %s does not', (_, file, why) => {
    expect(flaw(file)).toMatch(why);
  });

  it('attack: that describes nothing fits nothing', () => {
    expect(flaw({ '@type': 'cr:FileSet' })).toBe('it describes no file');
  });

  it.each([
    ['no JSON', '<html>'],
    ['no distribution', '{"@type":"sc:Dataset"}'],
    ['a distribution that is none', '{"@type":"sc:Dataset","distribution":[1]}'],
  ])('attack: %s is none', (_, text) => {
    expect(() => readCroissant(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});
