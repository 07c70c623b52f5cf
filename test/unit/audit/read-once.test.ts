import { describe, expect, test } from 'vitest';
import { readOnce } from '../../../adapters/audit/read-once.js';

function counted(read: (key: string) => Promise<Buffer | null>, maxBytes?: number) {
  const asked: string[] = [];
  const once = readOnce((key) => {
    asked.push(key);
    return read(key);
  }, maxBytes);
  return { asked, once };
}

describe('what does not change', () => {
  test('is read once, however many ask at the same time', async () => {
    const { asked, once } = counted(async (key) => Buffer.from(key));
    const found = await Promise.all(['a', 'b', 'a', 'a'].map((key) => once(key)));
    expect(found.map(String)).toEqual(['a', 'b', 'a', 'a']);
    expect(String(await once('b'))).toBe('b');
    expect(asked).toEqual(['a', 'b']);
  });

  test('is asked for again where it was not there, or could not be read', async () => {
    let answer: () => Promise<Buffer | null> = async () => null;
    const { asked, once } = counted(() => answer());
    expect(await once('a')).toBeNull();
    answer = () => Promise.reject(new Error('the store is away'));
    await expect(once('a')).rejects.toThrow('the store is away');
    answer = async () => Buffer.from('there');
    expect(String(await once('a'))).toBe('there');
    expect(asked).toEqual(['a', 'a', 'a']);
  });

  test('is kept in bounded memory: the oldest goes first', async () => {
    const { asked, once } = counted(async () => Buffer.alloc(10), 25);
    for (const key of ['a', 'b', 'c', 'b', 'c', 'a']) await once(key);
    expect(asked).toEqual(['a', 'b', 'c', 'a']);
  });
});
