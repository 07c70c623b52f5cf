import { describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../../formats/safetensors.js';
import {
  calls,
  npy,
  pax,
  pickle,
  PROTO4,
  scanBytes,
  tar,
  text,
  torchZip,
  u32,
  u64,
  zip,
  zip64,
} from '../../support/artifacts.js';

const hello = { name: 'hello.txt', bytes: Buffer.from('hello') };
const evil = calls('os', 'system');
const state = pickle(PROTO4, '}', text('w'), text('collections'), text('OrderedDict'), 0x93, ')Rs.');

describe('a zip', () => {
  it.each([1, 5, 64, 4096])(
    'of PyTorch, with allowed imports, has nothing against it, in chunks of %s bytes',
    (chunk) => {
      expect(scanBytes(torchZip(state), chunk)).toMatchObject({ format: 'pytorch', findings: [] });
    },
  );

  it('of files that are packed is looked into', () => {
    const packed = zip([{ name: 'a.pkl', bytes: evil, deflated: true }]);
    expect(scanBytes(packed, 3).findings).toMatchObject([
      { rule: 'unsafe-global', message: expect.stringMatching('a.pkl') },
    ]);
  });

  it('attack: the pickle in a PyTorch zip is named with its entry and byte', () => {
    const { format, findings } = scanBytes(torchZip(evil));
    expect(format).toBe('pytorch');
    expect(findings).toMatchObject([
      { rule: 'unsafe-global', message: expect.stringMatching(/archive\/data\.pkl.*os\.system/) },
    ]);
    expect(torchZip(evil).subarray(findings[0]?.offset)[0]).toBe(0x93);
  });

  const storage = (bytes: Buffer, name = 'archive/data/1', pickled = 'archive/data.pkl'): Buffer =>
    zip([
      { name: pickled, bytes: state },
      { name, bytes: Buffer.concat([bytes, Buffer.alloc(300, 0x11)]) },
    ]);
  const numbers = [
    '934e554d50590901',
    '12fe333f9988773e7b',
    '8002333f9988773e',
    '1f8b333f9988773e',
    '4e2e333f9988773e',
    '504b0304',
  ];

  it.each(numbers)('of PyTorch may hold any numbers, whatever they begin like: %s', (hex) => {
    expect(scanBytes(storage(Buffer.from(hex, 'hex')), 7)).toMatchObject({ format: 'pytorch', findings: [] });
  });

  it('attack: what stands elsewhere in it, or in another zip, is not taken for numbers', () => {
    for (const [name, pickled] of [
      ['archive/data/x.pkl', 'archive/data.pkl'],
      ['archive/extra/1', 'archive/data.pkl'],
      ['data/1', 'archive/data.pkl'],
      ['archive/data/1', 'archive/other.pkl'],
    ] as const)
      expect(scanBytes(storage(evil, name, pickled)).rules).toContain('unsafe-global');
  });

  it.each([1, 7, 4096])(
    'attack: is one of arrays to NumPy, and an array of objects there is a pickle, by %s',
    (chunk) => {
      const within = (bytes: Buffer): Buffer =>
        zip([
          { name: 'archive/data.pkl', bytes: state },
          { name: 'archive/data/0', bytes },
        ]);
      const objects = npy("'|O'", evil);
      expect(scanBytes(within(objects), chunk)).toMatchObject({
        format: 'pytorch',
        rules: ['object-array', 'unsafe-global'],
        findings: [{ message: expect.stringMatching('in archive/data/0') }, {}],
      });
      expect(scanBytes(within(npy("'<f8'", Buffer.alloc(8))), chunk).findings).toEqual([]);
    },
  );

  it('attack: of arrays holds objects, packed or not, or is itself in another archive', () => {
    const objects = { name: 'w.npy', bytes: npy("'|O'", evil) };
    for (const deflated of [false, true])
      expect(scanBytes(zip([{ ...objects, deflated }]))).toMatchObject({
        format: 'numpy',
        rules: ['object-array', 'unsafe-global'],
      });
    expect(scanBytes(tar([objects])).rules).toEqual(['object-array', 'unsafe-global']);
    const npz = { name: 'w.npz', bytes: zip([objects]) };
    for (const outer of [zip([npz]), zip([{ ...npz, deflated: true }]), tar([npz])])
      expect(scanBytes(outer).rules).toContain('nested-archive');
    const torch = zip([
      { name: 'archive/data.pkl', bytes: state },
      { name: 'archive/data/w.npz', bytes: npz.bytes },
    ]);
    expect(scanBytes(torch).rules).toContain('nested-archive');
  });

  it('attack: a pickle under any name in it is one', () => {
    expect(scanBytes(zip([{ name: 'README.md', bytes: evil }])).rules).toEqual(['unsafe-global']);
  });

  it('attack: code of TorchScript', () => {
    const script = zip([{ name: 'm/code/__torch__.py', bytes: Buffer.from('def f(): pass') }, hello]);
    expect(scanBytes(script).rules).toEqual(['torchscript']);
  });

  it.each([
    ['another checksum than its bytes', { ...hello, crc: 7 }, 'bad-checksum'],
    ['another checksum than its unpacked bytes', { ...hello, crc: 7, deflated: true }, 'bad-checksum'],
    ['the flag of encryption', { ...hello, flags: 0x1 }, 'encrypted'],
    ['the flag of strong encryption', { ...hello, flags: 0x40 }, 'encrypted'],
    ['the flag of a patch', { ...hello, flags: 0x20 }, 'archive-mismatch'],
    ['another name in its local header', { ...hello, local: { name: 'other.pkl' } }, 'archive-mismatch'],
    ['another size in its local header', { ...hello, local: { size: 3 } }, 'archive-mismatch'],
    ['other flags in its local header', { ...hello, local: { flags: 0x800 } }, 'archive-mismatch'],
    ['a name that climbs', { ...hello, name: '../../etc/x' }, 'unsafe-name'],
    ['an absolute name', { ...hello, name: '/etc/x' }, 'unsafe-name'],
    ['a name with a drive', { ...hello, name: 'C:\\x' }, 'unsafe-name'],
    ['a name with a NUL', { ...hello, name: 'a\0.txt' }, 'unsafe-name'],
    ['a name with a backslash', { ...hello, name: 'a\\..\\b' }, 'unsafe-name'],
    ['a name that is not UTF-8', { ...hello, name: Buffer.from([0x61, 0xff]) }, 'unsafe-name'],
    ['a link', { ...hello, mode: 0o120777 }, 'archive-link'],
    ['a device', { ...hello, mode: 0o060666 }, 'archive-link'],
    ['an archive', { ...hello, bytes: zip([hello]) }, 'nested-archive'],
    ['a tar archive', { ...hello, bytes: tar([hello]) }, 'nested-archive'],
    ['a packed archive', { ...hello, bytes: zip([hello]), deflated: true }, 'nested-archive'],
    ['gigabytes of nothing', { name: 'bomb', bytes: Buffer.alloc(8 * 1024 * 1024), deflated: true }, 'ratio-bomb'],
    [
      'a size that it does not unpack to',
      { ...hello, deflated: true, size: 4, local: { size: 4 } },
      'archive-mismatch',
    ],
  ] as const)('attack: an entry with %s', (_, member, rule) => {
    expect(scanBytes(zip([member])).rules).toContain(rule);
    expect(scanBytes(zip([member]), 3).rules).toContain(rule);
  });

  it('attack: an entry that overlaps another unpacks the same bytes many times', () => {
    const bytes = zip([hello, { ...hello, name: 'again.txt' }]);
    const second = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    bytes.writeUInt32LE(0, second + 42);
    expect(scanBytes(bytes).rules).toContain('archive-mismatch');
  });

  it('attack: bytes between two entries, which no entry holds', () => {
    expect(scanBytes(zip([hello, { ...hello, name: 'b', before: evil }])).rules).toContain('archive-mismatch');
  });

  it('attack: twins in a directory, of which each reader takes another', () => {
    expect(scanBytes(zip([hello, hello])).rules).toContain('archive-mismatch');
    expect(scanBytes(zip([hello, { ...hello, name: 'HELLO.TXT' }])).rules).toContain('archive-mismatch');
  });

  it('attack: an entry that the directory leaves out', () => {
    const bytes = zip([hello, { name: 'hidden.pkl', bytes: evil }]);
    const end = bytes.length - 22;
    const second = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    bytes.writeUInt16LE(1, end + 8);
    bytes.writeUInt16LE(1, end + 10);
    bytes.writeUInt32LE(second - bytes.readUInt32LE(end + 16), end + 12);
    expect(scanBytes(bytes).rules).toContain('archive-mismatch');
  });

  it('attack: a comment, bytes behind its end, or between directory and end, can hold another archive', () => {
    expect(scanBytes(zip([hello], { comment: 'x' })).rules).toContain('trailing-bytes');
    expect(scanBytes(Buffer.concat([zip([hello]), Buffer.alloc(9)])).rules).not.toEqual([]);
    expect(scanBytes(zip([hello], { gap: Buffer.from(evil) })).rules).toContain('archive-mismatch');
  });

  const wide = Buffer.concat([Buffer.from([1, 0, 8, 0]), u64(5)]);
  const other = Buffer.concat([Buffer.from([1, 0, 16, 0]), u64(5), u64(7)]);
  const renamed = Buffer.concat([Buffer.from([0x75, 0x70, 9, 0, 1]), u32(0), Buffer.from('evil')]);

  it('with sizes of 64 bits has nothing against it, where all that say them agree', () => {
    expect(scanBytes(zip([{ ...hello, local: { size: 0xffffffff, extra: wide } }])).findings).toEqual([]);
    const bytes = zip64(zip([{ ...hello, extra: Buffer.from([0x55, 0x54, 1, 0, 0]) }]));
    expect(scanBytes(bytes)).toMatchObject({ format: 'zip', findings: [] });
    expect(scanBytes(bytes, 7)).toMatchObject({ format: 'zip', findings: [] });
  });

  it.each([
    ['in its local header alone', { ...hello, local: { size: 0xffffffff, extra: other } }],
    ['in its local header, which is not there', { ...hello, local: { size: 0xffffffff } }],
    ['in its directory, by another name', { ...hello, extra: renamed }],
    ['in its local header, by another name', { ...hello, local: { extra: renamed } }],
  ])('attack: an extra field that only some readers take, %s', (_, member) => {
    expect(scanBytes(zip([member])).rules).toContain('archive-mismatch');
  });

  it('attack: two ends, of 32 and 64 bits, of which each reader takes another', () => {
    const bytes = zip64(zip([hello, { ...hello, name: 'b' }]));
    const end = bytes.length - 22;
    const elsewhere = Buffer.from(bytes);
    elsewhere.writeUInt32LE(bytes.readUInt32LE(end + 16) + 1, end + 16);
    const fewer = Buffer.from(bytes);
    fewer.writeUInt16LE(1, end + 10);
    const before = Buffer.from(bytes);
    before.writeBigUInt64LE(3n, end - 12);
    for (const each of [elsewhere, fewer, before]) expect(scanBytes(each).rules).not.toEqual([]);
  });

  it('attack: a directory that claims more entries than it has room for', () => {
    const bytes = zip([hello]);
    bytes.writeUInt16LE(60_000, bytes.length - 12);
    expect(scanBytes(bytes).rules).toEqual(['malformed']);
  });
});

describe('a tar archive', () => {
  it('of plain files is looked into', () => {
    expect(scanBytes(tar([hello]), 100)).toMatchObject({ format: 'tar', findings: [] });
    expect(scanBytes(tar([{ name: 'x', bytes: evil }]), 7).rules).toEqual(['unsafe-global']);
  });

  it.each([
    ['a name that climbs', { name: '../x' }, 'unsafe-name'],
    ['an absolute name', { name: '/etc/passwd' }, 'unsafe-name'],
    ['a symbolic link', { name: 'l', type: '2', link: '/etc/passwd' }, 'archive-link'],
    ['a hard link', { name: 'l', type: '1', link: '../../weights' }, 'archive-link'],
    ['a device', { name: 'd', type: '3' }, 'archive-link'],
    ['a pipe', { name: 'p', type: '6' }, 'archive-link'],
    ['a file with holes', { name: 's', type: 'S' }, 'unsupported-method'],
    ['another tar', { name: 'a.tar', bytes: tar([hello]) }, 'nested-archive'],
    [
      'a folder with bytes, which some readers take for entries',
      { name: 'd', type: '5', bytes: evil },
      'archive-mismatch',
    ],
    ['a link with bytes', { name: 'd', type: '1', bytes: evil }, 'archive-mismatch'],
    ['a file whose name is that of a folder', { name: 'd/', bytes: evil }, 'archive-mismatch'],
    ['a prefix that climbs, without the mark of one', { name: 'x', prefix: '../..', magic: '' }, 'unsafe-name'],
    ['a size of other bytes', { name: '@', type: 'x', bytes: pax(['size', '1']) }, 'unsupported-method'],
    ['a name that climbs for all', { name: '@', type: 'g', bytes: pax(['path', '../x']) }, 'unsupported-method'],
    ['links for all', { name: '@', type: 'g', bytes: pax(['linkpath', '/etc']) }, 'unsupported-method'],
    ['a size for all', { name: '@', type: 'g', bytes: pax(['size', '0']) }, 'unsupported-method'],
    ['holes of a file', { name: '@', type: 'x', bytes: pax(['GNU.sparse.map', '0,1']) }, 'unsupported-method'],
    ['names in another alphabet', { name: '@', type: 'x', bytes: pax(['hdrcharset', 'BINARY']) }, 'unsupported-method'],
    ['an extension that is none', { name: '@', type: 'x', bytes: Buffer.from('99 path=x\n') }, 'malformed'],
    [
      'two names for one entry',
      { name: '@', type: 'x', bytes: pax(['path', 'a'], ['path', '../x']) },
      'archive-mismatch',
    ],
    [
      'a name that climbs behind a line',
      { name: '@', type: 'x', bytes: pax(['comment', '\n9 path=a'], ['path', '../x']) },
      'unsafe-name',
    ],
    ['a long name that climbs', { name: '@', type: 'L', bytes: Buffer.from('../../x\0') }, 'unsafe-name'],
  ] as const)('attack: with %s', (_, member, rule) => {
    expect(scanBytes(tar([member, hello])).rules).toContain(rule);
  });

  it('with times and comments in extensions has nothing against it', () => {
    const known = { name: '@', type: 'x', bytes: pax(['path', 'a/b'], ['mtime', '1.5'], ['SCHILY.dev', '1']) };
    const all = { name: '@', type: 'g', bytes: pax(['comment', 'a commit']) };
    expect(scanBytes(tar([all, known, hello]), 100)).toMatchObject({ format: 'tar', findings: [] });
  });

  it('attack: what follows its end, or is missing before it', () => {
    expect(scanBytes(tar([hello], Buffer.alloc(512, 1))).rules).toContain('trailing-bytes');
    expect(scanBytes(tar([{ name: 'x', bytes: Buffer.alloc(4000) }]).subarray(0, 1024)).rules).toContain('malformed');
  });

  it('attack: PyTorch 0.1.10 is a tar with pickles in it', () => {
    const old = tar([
      { name: 'sys_info', bytes: evil },
      { name: 'pickle', bytes: evil },
    ]);
    expect(scanBytes(old)).toMatchObject({ format: 'tar', rules: ['unsafe-global', 'unsafe-global'] });
  });
});

describe('one file that is two', () => {
  const data = zip([hello]);
  const tensors = writeSafetensors([{ name: 'w', dtype: 'U8', shape: [data.length], data }]);

  it.each([
    ['safetensors with a zip in its last tensor', tensors],
    ['a PDF with a zip behind it', Buffer.concat([Buffer.from('%PDF-1.7\n'), data])],
    ['an executable with a zip behind it', Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01\0', 'latin1'), data])],
    ['a pickle with a zip behind it', Buffer.concat([state, data])],
    [
      'safetensors with a PDF in its header',
      writeSafetensors([{ name: '%PDF-1.7', dtype: 'U8', shape: [1], data: Buffer.alloc(1) }]),
    ],
    ['text with a PDF in it', Buffer.from('# readme\n%PDF-1.7\n')],
  ])('attack: %s', (_, bytes) => {
    expect(scanBytes(bytes, 1000).rules).toContain('polyglot');
  });

  it('is not what random weights are', () => {
    const weights = Buffer.alloc(70_000);
    for (let at = 0; at < weights.length; at += 1) weights[at] = (at * 7919) >> 3;
    weights.write('PK\x05\x06', 69_900, 'latin1');
    const bytes = writeSafetensors([{ name: 'w', dtype: 'U8', shape: [weights.length], data: weights }]);
    expect(scanBytes(bytes)).toMatchObject({ format: 'safetensors', findings: [] });
  });
});

describe('a NumPy array', () => {
  it.each([
    ["'<f8'", 8],
    ["'|b1'", 1],
    ["'>c16'", 16],
    ["'<M8[ns]'", 8],
    ["[('a', '<f8'), ('b', [('c', '<i2', (2, 3))])]", 20],
    ["[('only', '|u1'), ]", 1],
  ])('of numbers, as %s, has nothing against it', (descr, bytes) => {
    expect(scanBytes(npy(descr, Buffer.alloc(bytes)))).toMatchObject({ format: 'numpy', findings: [] });
  });

  it.each([
    "'|O'",
    "'O'",
    "'object'",
    "'|\\x4f'",
    "'\\x6fbject'",
    "'|' 'O'",
    "u'|O'",
    "'object_'",
    "'<f8,O'",
    "[('a', '<f8'), ('b', '|O')]",
    "[('a', [('b', '|\\117')])]",
    "('<f8', (1,))",
    "{'names': ['a'], 'formats': ['O']}",
    "'|V8'",
  ])('attack: of objects, or of what may be objects, as %s, is followed as a pickle', (descr) => {
    expect(scanBytes(npy(descr, evil), 16).rules).toEqual(['object-array', 'unsafe-global']);
  });

  it('attack: with a header that says a thing twice, or more than there is to say', () => {
    expect(scanBytes(npy("'<f8', 'descr': '|O'", evil)).rules).toEqual(['object-array', 'unsafe-global']);
    expect(scanBytes(npy("'<f8' if 0 else '|O'", evil)).rules).toEqual(['object-array', 'unsafe-global']);
  });

  it('attack: with bytes behind its elements, or of a version that nobody reads', () => {
    expect(scanBytes(npy("'<f8'", evil)).rules).toEqual(['trailing-bytes']);
    const bytes = npy("'<f8'", Buffer.alloc(8));
    bytes[6] = 9;
    expect(scanBytes(bytes).rules).toEqual(['malformed']);
  });
});

describe('an archive that Python reads otherwise', () => {
  const bytes = Buffer.from('x');
  /** The first header of it with these bytes in it, and its checksum right again. */
  const patched = (at: number, patch: string): Buffer => {
    const archive = tar([{ name: 'a.txt', bytes }]);
    archive.write(patch, at, 'latin1');
    archive.fill(0x20, 148, 156);
    const sum = archive.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return archive;
  };

  it.each([
    ['a zip whose names are in no stated alphabet', zip([{ name: 'é.txt', bytes }]), 'archive-mismatch'],
    ['a tar whose user is no number', patched(108, 'evil'), 'malformed'],
    ['a tar whose name is not UTF-8', patched(0, '\xff'), 'unsafe-name'],
    [
      'a tar with a prefix that not all readers take',
      patched(257, 'other\0'.concat('\0'.repeat(82), 'p')),
      'archive-mismatch',
    ],
    [
      'a tar whose long name goes on beyond its end',
      tar([
        { name: 'l', type: 'L', bytes: Buffer.from('long') },
        { name: 'a.txt', bytes },
      ]),
      'archive-mismatch',
    ],
  ] as const)('attack: is not clean: %s', (_, archive, rule) => {
    expect(scanBytes(archive).rules).toContain(rule);
  });

  it('is not one whose names are UTF-8 and say so', () => {
    expect(scanBytes(zip([{ name: 'é.txt', bytes, flags: 0x800 }])).findings).toEqual([]);
  });
});
