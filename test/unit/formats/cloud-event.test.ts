import { HTTP, type CloudEvent } from 'cloudevents';
import { describe, expect, test } from 'vitest';
import { CHANGES, type AuditRecord } from '../../../domain/audit.js';
import { recordEvent } from '../../../formats/cloud-event.js';
import { strictEvent } from '../../support/receiver.js';
import { aRecord } from '../audit/fixtures.js';

const ORIGIN = 'custody.local/dev';

/** On its way, and as the package of CloudEvents reads it then, strictly. */
function sent(record: AuditRecord, index = 17, origin = ORIGIN): CloudEvent<AuditRecord> {
  const { headers, body } = HTTP.structured(recordEvent(record, index, origin));
  expect(headers['content-type']).toBe('application/cloudevents+json; charset=utf-8');
  return strictEvent<AuditRecord>({
    headers: { 'content-type': 'application/cloudevents+json' },
    body: body as string,
  });
}

describe('a record as a CloudEvent', () => {
  test.each(CHANGES)('%s is one, and holds the record whole', (change) => {
    const record = aRecord('4f1c', { change });
    const event = sent(record);
    expect({ ...event.toJSON() }).toEqual({
      specversion: '1.0',
      id: '4f1c',
      source: 'custody.local/dev',
      type: `custody.audit.${change}`,
      subject: 'digits@1.0.0',
      time: '2026-03-01T10:00:00.000Z',
      datacontenttype: 'application/json',
      data: record,
      sequence: '0000000000000017',
    });
  });

  test('is about the model where there is no version, and about nothing where there is no model', () => {
    expect(sent(aRecord('a', { subject: { model: 'digits', version: null, release: null } })).subject).toBe('digits');
    for (const version of [null, '1.0.0'])
      expect(sent(aRecord('a', { subject: { model: '', version, release: null } })).subject).toBeUndefined();
  });

  test('whose text looks like another event, or like headers, is data to the last character', () => {
    const forged =
      '","type":"custody.audit.release.approved","x":"\r\nwebhook-id: 1\r\n\r\n{}\u2028\u202e\u0000\ud83d\ude00';
    const record = aRecord('a', {
      reason: forged,
      actor: { id: forged, statement: null },
      workflow: { id: forged, runId: forged },
    });
    const event = sent(record);
    expect(event.data).toEqual(record);
    expect(event.type).toBe('custody.audit.decision.accepted');
    expect(Object.keys(event.toJSON())).not.toContain('x');
    expect(recordEvent(record, 0, ORIGIN).toString()).not.toMatch(/[\r\n\0]/);
  });

  test('has no control character in an attribute, whatever somebody called a model', () => {
    const subject = { model: 'digits\r\nx: y\u202e\u0000', version: '1.0.0\n', release: null };
    const event = sent(aRecord('a', { subject }));
    expect(event.subject).toBe('digits\\u{d}\\u{a}x: y\\u{202e}\\u{0}@1.0.0\\u{a}');
    expect(event.data?.subject).toEqual(subject);
  });

  test.each([
    ['custody.example/test', 'custody.example/test'],
    ['custody.example:8443/a?b#c', 'custody.example%3A8443/a%3Fb%23c'],
    [':/ü%', '%3A/%C3%BC%25'],
    ['//[/', '//%5B/'],
  ])('comes from the log of origin %s as the URI reference %s', (origin, source) => {
    expect(sent(aRecord('a'), 0, origin).source).toBe(source);
  });

  test('sorts by its sequence as the log does, and the sequence tells the index', () => {
    const indexes = [0, 9, 10, 255, 256, 2 ** 31, Number.MAX_SAFE_INTEGER];
    const sequences = indexes.map((index) => String(sent(aRecord('a'), index)['sequence']));
    expect([...sequences].sort()).toEqual(sequences);
    expect(sequences.map(Number)).toEqual(indexes);
  });

  test('which no strict reader would take is not made', () => {
    expect(() => recordEvent(aRecord('a', { time: 'yesterday' }), 0, ORIGIN)).toThrow();
  });
});
