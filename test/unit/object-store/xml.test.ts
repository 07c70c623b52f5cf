import { describe, expect, it } from 'vitest';
import { elementsOf, textOf } from '../../../adapters/object-store/xml.js';

describe("S3's answers in XML", () => {
  const answer =
    '<?xml version="1.0"?><R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Version><Key>a&amp;b&#x1f600;</Key>' +
    '<ETag>&#34;e&quot;</ETag></Version><DeleteMarker a="1"><Key>c</Key></DeleteMarker><Version><Key/></Version></R>';

  it('gives elements of several names in document order', () => {
    expect(elementsOf(answer, 'Version', 'DeleteMarker').map(({ name }) => name)).toEqual([
      'Version',
      'DeleteMarker',
      'Version',
    ]);
  });

  it('unescapes text', () => {
    expect(textOf(answer, 'Key')).toBe('a&b😀');
    expect(textOf(answer, 'ETag')).toBe('"e"');
    expect(textOf('<Key>&amp;lt;</Key>', 'Key')).toBe('&lt;');
  });

  it('does not take a longer name for a shorter one, and has null for what is absent', () => {
    expect(textOf('<KeyMarker>x</KeyMarker>', 'Key')).toBeNull();
    expect(textOf('<html>502 Bad Gateway', 'Code')).toBeNull();
    expect(textOf('<Key>&#x110000;</Key>', 'Key')).toBe('&#x110000;');
  });
});
