import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scanFile } from '../../../adapters/scan/file.js';
import { judgeScan } from '../../../domain/artifacts.js';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { pickle, PROTO4, scanBytes, tar, zip } from '../../support/artifacts.js';

const HDF5 = Buffer.from('894844460d0a1a0a', 'hex');
const hello = { name: 'hello.txt', bytes: Buffer.from('hello') };
const archive = zip([hello]);
const payload = Buffer.from("cposix\nsystem\n(S'id'\ntR.");
const holding = (data: Uint8Array): Buffer =>
  writeSafetensors([{ name: 'w', dtype: 'U8', shape: [data.length], data }]);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-second-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function judged(name: string, bytes: Uint8Array) {
  const path = join(folder, 'file');
  await writeFile(path, bytes);
  return judgeScan([await scanFile(path, name)], [], { maxFiles: 1, maxFileBytes: 1024 ** 2 });
}

/** A safetensors file whose header has 0x1042 bytes: `B` and a length, as a pickle sees it, and then text and calls at will. */
function tensorsAndPickle(): Buffer {
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(0x1042n);
  // The pickle's bytes string has 16 bytes; from there on, each short string jumps over the JSON up to the next one.
  const end = `":{"dtype":"U8","shape":[${payload.length}],"data_offsets":[0,${payload.length}]}}`;
  const jump = (length: number, bytes: string): string =>
    `U${String.fromCharCode(length)}${bytes.padStart(length, 'b')}`;
  const json = `{"${'a'.repeat(11)}${jump(126, '').repeat(31)}${jump(88, '')}${jump(89, end)}`;
  expect(json.length).toBe(0x1042);
  return Buffer.concat([head, Buffer.from(json), payload]);
}

/** A safetensors file with these bytes at this place of the file. */
function tensorsWith(bytes: Uint8Array, place: number): Buffer {
  const whole = holding(Buffer.alloc(place + bytes.length, 1));
  whole.set(bytes, place);
  return whole;
}

describe('what is safetensors by its content', () => {
  const tensors = holding(Buffer.alloc(8, 1));

  it('is clean under the name that makes a loader take it for that', async () => {
    expect(await judged('model.safetensors', tensors)).toEqual({ verdict: 'clean', findings: [] });
  });

  it.each(['model.bin', 'weights.h5', 'model.keras', 'state.pkl', 'README'])(
    'attack: under the name %s another loader would take it for something else',
    async (name) => {
      expect(await judged(name, tensors)).toMatchObject({ verdict: 'refused', findings: [{ rule: 'misnamed' }] });
    },
  );

  it('is a pickle by no length of its header: what a loader would break off at imports nothing', () => {
    const data = Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 167 + (at >> 3)) % 256));
    const tensor = { w: { dtype: 'U8', shape: [data.length], data_offsets: [0, data.length] } };
    for (let size = 80; size < 0x8000; size += size < 0x200 ? 1 : 13) {
      const head = Buffer.alloc(8);
      head.writeBigUInt64LE(BigInt(size));
      const bytes = Buffer.concat([head, Buffer.from(JSON.stringify(tensor).padEnd(size)), data]);
      expect(scanBytes(bytes), `a header of ${size} bytes`).toMatchObject({ format: 'safetensors', findings: [] });
    }
  });

  it('attack: and is a pickle that calls something, is two things', () => {
    const both = tensorsAndPickle();
    expect(scanBytes(both)).toMatchObject({ format: 'safetensors', rules: ['polyglot'] });
    expect(scanBytes(both, 5).rules).toEqual(['polyglot']);
  });

  it('attack: and is a pickle of more than is followed, is not seen to its end', () => {
    const head = Buffer.alloc(8);
    const json = '{"w":{"dtype":"U8","shape":[2100000],"data_offsets":[0,2100000]}}';
    head.writeBigUInt64LE(BigInt(0x4b54));
    // `T` and its length reach to the data, which is nothing but marks.
    head.writeUInt32LE(json.length + 3, 1);
    head[0] = 0x54;
    const bytes = Buffer.concat([head, Buffer.from(json), Buffer.alloc(2_100_000, '(')]);
    expect(scanBytes(bytes).rules).toContain('polyglot');
  });

  it.each([512, 1024, 2048, 4096, 8192, 2 ** 20])('attack: with HDF5 from byte %s on is HDF5 as well', (place) => {
    expect(scanBytes(tensorsWith(HDF5, place), 1000)).toMatchObject({ format: 'safetensors', rules: ['polyglot'] });
    expect(scanBytes(tensorsWith(HDF5, place)).findings).toMatchObject([{ rule: 'polyglot', offset: place }]);
  });

  it('is nothing else where the signature of HDF5 stands at a place that no reader looks at', () => {
    expect(scanBytes(tensorsWith(HDF5, 1536)).findings).toEqual([]);
  });
});

describe('a file that is HDF5 behind bytes of its own', () => {
  it.each([512, 1024, 2048, 4096, 65_536])('attack: text with HDF5 from byte %s on is no text', (place) => {
    const bytes = Buffer.concat([Buffer.alloc(place, ' '), HDF5, Buffer.alloc(64)]);
    const { format, rules } = scanBytes(bytes);
    expect({ format, rules }).not.toEqual({ format: 'text', rules: [] });
    expect(format === 'hdf5' || rules.includes('polyglot')).toBe(true);
  });
});

describe('a zip in another file', () => {
  const edited = (change: (end: Buffer) => void, after = 0): Buffer => {
    const bytes = Buffer.concat([archive, Buffer.alloc(after, 0x20)]);
    change(bytes.subarray(archive.length - 22));
    return holding(bytes);
  };

  it.each([
    ['counts 65,535 entries', edited((end) => end.fill(0xff, 8, 12))],
    ['has a comment that goes beyond the file', edited((end) => end.writeUInt16LE(0xffff, 20))],
    ['has a comment as long as any reader looks for', edited((end) => end.writeUInt16LE(0xffff, 20), 65_535)],
    ['is followed by more than its comment', edited(() => undefined, 65_536)],
    ['has a directory that lies elsewhere than it says', edited((end) => end.writeUInt32LE(0x7fffffff, 16))],
    [
      'has an end of 64 bits',
      edited((end) => end.writeUInt32LE(0xffffffff, 12)).fill(
        'PK\x06\x07',
        -42 + holding(archive).length,
        -38 + holding(archive).length,
        'latin1',
      ),
    ],
    ['is empty', holding(zip([]))],
  ])('attack: is one for the laxest reader though it %s', (_, bytes) => {
    expect(scanBytes(bytes)).toMatchObject({ format: 'safetensors', rules: ['polyglot'] });
    expect(scanBytes(bytes, 100_000).rules).toEqual(['polyglot']);
  });

  it('is none where its directory would be larger than the file', () => {
    expect(scanBytes(edited((end) => end.writeUInt32LE(0x7fffffff, 12))).findings).toEqual([]);
  });
});

describe('a tar archive', () => {
  it('attack: is one for a reader that adds up signed bytes', () => {
    const block = Buffer.alloc(512, 0x20);
    block.write('{"\u00e9":1}');
    const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : (byte << 24) >> 24), 0);
    block.write(sum.toString(8).padStart(7, '0'), 148);
    expect(scanBytes(block).format).toBe('tar');
  });
});

describe('a pickle that looks like another format', () => {
  it('attack: a tar whose first name is a call', () => {
    const state = pickle(PROTO4, '}.');
    expect(scanBytes(tar([{ name: payload.toString(), bytes: state }])).rules).toContain('polyglot');
  });

  it('attack: GGUF is a number to a pickle, and what follows it may be a call', () => {
    const bytes = Buffer.concat([Buffer.from('GGUF\x03\0\0\0\0', 'latin1'), payload]);
    expect(scanBytes(bytes)).toMatchObject({ format: 'gguf', rules: ['polyglot'] });
  });

  it('attack: text of more opcodes than are followed is not clean text', () => {
    const bytes = Buffer.concat([Buffer.alloc(3_000_000, 'N'), payload]);
    expect(scanBytes(bytes)).toMatchObject({ format: 'pickle', rules: ['resource-limit'] });
  });

  it('is no tar of configurations, whose names look like imports', () => {
    const config = { name: 'config.json', bytes: Buffer.from('{\n"a": 1,\n"b": 2\n}') };
    expect(scanBytes(tar([config]))).toMatchObject({ format: 'tar', findings: [] });
  });
});

describe('findings without end', () => {
  // Where each cost as much as the bytes before it, these would take minutes.
  it.each([
    ['tags', '!!python/ ', '', ''],
    ['objects', '{"_target_":"a"},', '[', '1]'],
  ])(
    'attack: %s are told up to a limit, which is a finding of its own, and cost what their bytes cost',
    (_, each, before, after) => {
      const { findings } = scanBytes(Buffer.from(`${before}${each.repeat(600_000)}${after}`));
      expect(findings.length).toBe(101);
      expect(findings.at(-1)?.rule).toBe('resource-limit');
      expect(findings.slice(0, 100).map(({ offset }) => offset)).toEqual(
        Array.from({ length: 100 }, (_each, at) => before.length + at * each.length),
      );
    },
  );
});
