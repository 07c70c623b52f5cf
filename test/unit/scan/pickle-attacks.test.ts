import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { calls, pickle, PROTO4, scanBytes, text, torchZip, u32, u64, zip } from '../../support/artifacts.js';

const CORPUS = 'test/unit/scan/corpus';
const payload = "cposix\nsystem\n(S'id'\ntR.";
const told = (bytes: Uint8Array | string, chunk?: number): string[] =>
  scanBytes(Buffer.from(bytes as string), chunk).findings.map(({ rule, message }) => `${rule}: ${message}`);
const NAMED = 'unsafe-global: it imports posix.system, which is not known to be safe';

describe('a pickle that is text, where one loader goes on and another stops', () => {
  it.each([
    ...['I  1\n', 'I1_0\n', 'I+1\n', 'I0x1f\n', 'I0b1\n', 'I010\n', 'I01\n', 'I1 \n', 'I\t1\n', 'I1\0junk\n', 'I\0\n'],
    ...[
      'L1\n',
      'L 1L\n',
      'L1_0L\n',
      `L${'9'.repeat(6000)}L\n`,
      'F1_0.5\n',
      'F inf\n',
      'F-nan\n',
      'F1\0x\n',
      'F.5e+1 \n',
    ],
    ...['S"a"\n', "S'a' \n", "S'\\x41'\n", 'V\\u0041\n', 'V\n', `S'${'a'.repeat(6000)}'\n`],
    ...[
      'I1\np1_0\n',
      'I1\np 7\n',
      'I1\np+7\ng7\n0',
      'I1\np0_0\ng 0\n0',
      'I1\np7\0x\ng7\n0',
      `I1\np${' '.repeat(4000)}7\n`,
    ],
    ...['I1\np1000\n', 'I1\np70000\ng70000\n0', `I1\np1${'0'.repeat(25)}\ng1${'0'.repeat(25)}\n0`],
  ])('attack: is followed beyond %j', (prefix) => {
    const bytes = Buffer.from(`${prefix}0${payload}`);
    for (const chunk of [1, 7, 4096, bytes.length]) expect(scanBytes(bytes, chunk)).toMatchObject({ format: 'pickle' });
    expect(told(bytes)).toContain(NAMED);
  });

  it.each(['Ice\n', 'Fig\n', 'Lime\n', 'Ix\n', 'Snow\n', 'S\n', 'I1\npear\n', 'I1\ngo\n'])(
    'is none, and no loader takes it for one: %j',
    (prefix) => {
      expect(scanBytes(Buffer.from(`${prefix}0${payload}`))).toMatchObject({ format: 'text', findings: [] });
    },
  );

  it('is none where it runs nothing, though a loader would go a long way: a list of words', () => {
    expect(scanBytes(Buffer.from('Various\nVery\nbad\n'))).toMatchObject({ format: 'text', findings: [] });
  });

  it('attack: is not let in as text where a limit was reached before its end', () => {
    const far = Array.from({ length: 100_002 }, (_, at) => `p${1_000_000 + at}\n`).join('');
    expect(scanBytes(Buffer.from(`I1\n${far}0${payload}`))).toMatchObject({
      format: 'pickle',
      rules: ['resource-limit', 'resource-limit'],
    });
    expect(scanBytes(Buffer.from(`I1\np${' '.repeat(5000)}7\n0${payload}`)).rules).toEqual(['resource-limit']);
  });

  it('attack: a second pickle is found behind one that is only data', () => {
    expect(told(`I1\n.${payload}`)).toEqual(['trailing-bytes: 24 bytes follow the end of the pickle', NAMED]);
  });

  it('attack: an import whose last line has no end is made by pickle.py, without its last byte', () => {
    expect(told(pickle(PROTO4, 'cposix\nsystemX'))).toContain(NAMED);
    expect(told("(S'id'\niposix\nsystemX")).toContain(NAMED);
  });

  it('attack: INST without a mark imports before it is broken', () => {
    expect(told(pickle(PROTO4, 'iposix\nsystem\n'))).toEqual([NAMED, expect.stringMatching('^broken-pickle')]);
  });

  it('attack: a dotted name of any length is an import, and what follows is seen', () => {
    const long = `a${'.a'.repeat(9000)}`;
    for (const chunk of [7, 4096, 1 << 20])
      expect(told(pickle(PROTO4, `cbuiltins\n${long}\n0`, payload), chunk)).toEqual([
        expect.stringMatching(/^unsafe-global: it imports builtins\.a\.a/),
        NAMED,
      ]);
  });
});

describe('a pickle that hides what it does', () => {
  it('attack: opcodes that the walker takes at a run do what each of them does alone', () => {
    const filler = Array.from({ length: 3000 }, (_, at) => pickle(text(`key ${at}`), 0x94, 'J', u32(at), 'h\0'));
    const evil = pickle(PROTO4, text('posix'), 0x94, text('system'), 0x94, '00(', ...filler, '1h\0h\x01', 0x93, ')R.');
    for (const chunk of [1, 1000, 1 << 20]) {
      const { rules, findings } = scanBytes(evil, chunk);
      expect({ chunk, rules, offset: findings[0]?.offset }).toEqual({
        ...{ chunk, rules: ['unsafe-global'], offset: evil.length - 4 },
      });
    }
    expect(told(evil)).toEqual([NAMED]);
  });

  it('attack: a stack that grows and is put back in a run is the same one', () => {
    const deep = pickle(PROTO4, text('posix'), text('system'), '(', Buffer.alloc(5000, 'N'), '1', 0x93, ')R.');
    expect(told(deep)).toEqual([NAMED]);
  });

  it('attack: names are seen whose bytes came in several chunks, by every opcode that makes a string', () => {
    const strings: readonly ((name: string) => Buffer)[] = [
      text,
      (name) => pickle('X', u32(name.length), name),
      (name) => pickle(0x8d, u64(name.length), name),
      (name) => pickle('U', name.length, name),
      (name) => pickle('T', u32(name.length), name),
      (name) => pickle('V', name, '\n'),
      (name) => pickle("S'", name, "'\n"),
    ];
    for (const string of strings)
      for (const chunk of [1, 3, 13, 1000])
        expect(told(pickle(PROTO4, string('posix'), string('system'), 0x93, ')R.'), chunk)).toEqual([NAMED]);
  });

  it('attack: a frame that cuts a name in two, of which a loader drops the first part', () => {
    const evil = pickle(PROTO4, 0x95, u64(6), 'cbuiltins\nset\n)R.');
    expect(scanBytes(evil).rules).toContain('frame-boundary');
  });

  it('attack: memo places that are used again mean what was kept last', () => {
    const again = pickle(
      PROTO4,
      text('collections'),
      'q\0',
      '0',
      text('posix'),
      'q\0',
      '0',
      text('system'),
      'q\x01',
      '0',
    );
    expect(told(pickle(again, 'h\0h\x01', 0x93, ')R.'))).toEqual([NAMED]);
    expect(told(pickle(PROTO4, text('posix'), 'r', u32(5000), '0h', 5, '.'))).toEqual([
      expect.stringMatching('^resource-limit'),
      expect.stringMatching('^broken-pickle'),
    ]);
  });

  it('attack: the next pickle of a file has a memo of its own', () => {
    const first = pickle(PROTO4, text('collections'), 0x94, text('OrderedDict'), 0x94, '0.');
    expect(scanBytes(pickle(first, PROTO4, 'h\0h\x01', 0x93, '.')).rules).toEqual(['broken-pickle']);
    const many = pickle(...Array.from({ length: 20_000 }, () => pickle(PROTO4, 'N', 0x94, '.')), calls('os', 'system'));
    expect(scanBytes(many).rules).toEqual(['unsafe-global']);
  });

  it.each([
    ['a checksum that is wrong', { crc: 7 }, 'bad-checksum'],
    ['the flag of encryption in its local header alone', { local: { flags: 0x1 } }, 'archive-mismatch'],
    ['the flag of a patch', { flags: 0x20 }, 'archive-mismatch'],
    ['the flag of strong encryption', { flags: 0x40 }, 'encrypted'],
  ] as const)('attack: a PyTorch archive that other readers give up at, for %s', (_, member, rule) => {
    const evil = zip([
      { name: 'archive/data.pkl', bytes: calls('posix', 'system'), ...member },
      { name: 'archive/version', bytes: Buffer.from('3\n') },
    ]);
    expect(scanBytes(evil).rules).toContain(rule);
    if (rule === 'bad-checksum') expect(scanBytes(evil).rules).toContain('unsafe-global');
    expect(scanBytes(torchZip(calls('posix', 'system'))).rules).toEqual(['unsafe-global']);
  });

  it('is none where NumPy has written plain numbers', () => {
    const array = [
      'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01K\x01\x85',
      ...['cnumpy\ndtype\nU\x02f8K\0K\x01\x87R(K\x03U\x01<NNNJ', u32(0xffffffff), 'J', u32(0xffffffff), 'K\0tb'],
      ...[0x89, 'U\x08', Buffer.alloc(8), 'tb.'],
    ];
    for (const chunk of [1, 7, 4096]) expect(told(pickle(0x80, 2, ...array), chunk)).toEqual([]);
  });

  it('attack: NumPy types of objects, or that were changed otherwise than NumPy does, are told by what they are', () => {
    const seeds = readdirSync(CORPUS).filter((name) => name.startsWith('pickle-numpy-'));
    expect(seeds.length).toBeGreaterThan(6);
    for (const name of seeds) {
      const bytes = Buffer.from(readFileSync(join(CORPUS, name), 'utf8').trim(), 'hex');
      const rule = name.includes('view') ? 'resource-limit' : 'unsafe-call';
      for (const chunk of [1, 7, 4096]) expect([name, scanBytes(bytes, chunk).rules]).toEqual([name, [rule]]);
    }
  });

  it('attack: all that was found before is still found', () => {
    const seeds = readdirSync(CORPUS).filter((name) => name.startsWith('pickle-'));
    expect(seeds.length).toBeGreaterThan(10);
    for (const name of seeds) {
      const { findings } = scanBytes(Buffer.from(readFileSync(join(CORPUS, name), 'utf8').trim(), 'hex'));
      expect([name, findings.length > 0]).toEqual([name, true]);
    }
  });
});
