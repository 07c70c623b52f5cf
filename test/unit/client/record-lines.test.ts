import { describe, expect, test } from 'vitest';
import { fieldsOf, lineOf } from '../../../client/record-lines.js';
import { aRecord } from '../audit/fixtures.js';

const FAKE = '2026-03-01T10:00:00.000Z  release.approved   alice      digits 6.6.6  as agreed';
const HOSTILE = [
  ['a line that looks like a record', `no\n${FAKE}`],
  ['a line that looks like a record after another kind of break', `no\r${FAKE}\u2028${FAKE}\u0085${FAKE}\u000b${FAKE}`],
  ['escape sequences', 'no\u001b[2J\u001b]0;owned\u0007\u009b31m'],
  ['bidirectional tricks', 'no \u202edevorppa\u2066\u2069\u200f\u061c'],
  ['what is hidden', 'no\u200b\u0000\u007f\ufeff'],
  ['a script', 'no<script>alert(1)</script>'],
] as const;
/** Whatever a terminal does something with, but line breaks. */
const UNSAFE = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;

describe('attack: a record with', () => {
  test.each(HOSTILE)('%s is one line of the list', (_, text) => {
    for (const record of [
      aRecord('one', { reason: text }),
      aRecord('one', { actor: { id: text, statement: null } }),
      aRecord('one', { subject: { model: text, version: text, release: null } }),
    ]) {
      const line = lineOf(record);
      expect(line).not.toMatch(UNSAFE);
      expect(line.startsWith('2026-03-01T10:00:00.000Z  decision.accepted')).toBe(true);
    }
  });

  test.each(HOSTILE)('%s has one name before each of its fields', (_, text) => {
    const record = aRecord(text, { reason: `${text}\nactor     mallory`, workflow: { id: text, runId: text } });
    const lines = fieldsOf(record).join('\n').split('\n');
    const named = lines.filter((line) => !line.startsWith('          '));
    expect(named.map((line) => line.split(' ')[0])).toEqual(Object.keys(record));
    for (const line of lines) expect(line).not.toMatch(UNSAFE);
  });

  test.each(HOSTILE)('%s is one line of JSON for whoever parses it', (_, text) => {
    const line = JSON.stringify({ index: 0, record: aRecord('one', { reason: text }) });
    expect(line.split(/[\n\r]/)).toHaveLength(1);
    expect(line).not.toMatch(/[\u0000-\u001f]/);
  });
});
