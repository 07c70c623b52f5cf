import { describe, expect, it } from 'vitest';
import type { ObjectHead, ObjectVersion } from '../../../adapters/object-store/port.js';
import { assertSmall, compareKeys, isLocked, recordOf, retentionTime } from '../../../adapters/object-store/rules.js';

const at = (retainUntil: string): { retainUntil: string } => ({ retainUntil });

describe('retention', () => {
  it('is rounded up to the second, since stores cut the rest off', () => {
    expect(retentionTime(at('2027-01-01T00:00:00.001Z'))).toBe('2027-01-01T00:00:01.000Z');
    expect(retentionTime(at('2027-01-01T00:00:00.000Z'))).toBe('2027-01-01T00:00:00.000Z');
    expect(() => retentionTime(at('soon'))).toThrow('soon');
  });

  const head = (lock: ObjectHead['lock']): ObjectHead => ({
    versionId: 'v',
    etag: '',
    size: 1,
    lock,
    legalHold: false,
  });

  it.each([
    ['none', null, false],
    ['GOVERNANCE', { mode: 'GOVERNANCE' as const, retainUntil: '2028-01-01T00:00:00.000Z' }, false],
    ['shorter', { mode: 'COMPLIANCE' as const, retainUntil: '2026-12-31T23:59:59.000Z' }, false],
    ['as long', { mode: 'COMPLIANCE' as const, retainUntil: '2027-01-01T00:00:00.000Z' }, true],
    ['longer', { mode: 'COMPLIANCE' as const, retainUntil: '2027-06-01T00:00:00.000Z' }, true],
  ])('a lock that is %s counts only when it holds as long as asked', (_, lock, expected) => {
    expect(isLocked(head(lock), at('2027-01-01T00:00:00.000Z'))).toBe(expected);
  });
});

describe('the record', () => {
  const version = (versionId: string, isDeleteMarker: boolean): ObjectVersion => ({
    key: 'k',
    versionId,
    etag: '',
    size: 0,
    isDeleteMarker,
    lastModified: '2026-01-01T00:00:00.000Z',
  });

  it('is the oldest version that is no delete marker', () => {
    const versions = [version('1', true), version('2', false), version('3', true), version('4', false)];
    expect(recordOf(versions)?.versionId).toBe('2');
    expect(recordOf([version('1', true)])).toBeNull();
    expect(recordOf([])).toBeNull();
  });
});

describe('keys', () => {
  it('sort by code point, not by UTF-16 unit', () => {
    expect(['\u{1f600}', '\uffee', 'a'].sort(compareKeys)).toEqual(['a', '\uffee', '\u{1f600}']);
  });

  it('with more than 8 MiB are for uploads', () => {
    expect(() => assertSmall('k', Buffer.alloc(8 * 1024 * 1024))).not.toThrow();
    expect(() => assertSmall('k', Buffer.alloc(8 * 1024 * 1024 + 1))).toThrow('k has');
  });
});
