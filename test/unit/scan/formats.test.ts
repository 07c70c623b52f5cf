import { gzipSync } from 'node:zlib';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scanFile } from '../../../adapters/scan/file.js';
import { judgeScan, type ArtifactFormat, type RuleId } from '../../../domain/artifacts.js';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { calls, npy, pickle, PROTO4, tar, text, torchZip, u32, u64, zip } from '../../support/artifacts.js';
import { GGUF, gguf, ggufTensor, kerasHdf5, onnx, savedModel } from '../../support/models.js';

const hello = { name: 'hello.txt', bytes: Buffer.from('hello') };
const evil = calls('os', 'system');
const state = pickle(PROTO4, '}', text('w'), text('collections'), text('OrderedDict'), 0x93, ')Rs.');
const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex');
const HUGE = hex('ffffffffffffffff');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'custody-formats-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function judged(name: string, bytes: Uint8Array) {
  const path = join(folder, 'file');
  await writeFile(path, bytes);
  const scanned = await scanFile(path, name);
  const { verdict, findings } = judgeScan([scanned], [], { maxFiles: 1, maxFileBytes: 2 ** 30 });
  return { format: scanned.format, verdict, rules: findings.map(({ rule }) => rule) };
}

/** Where no policy lets the format in, it is refused by that alone, whatever else was found. */
async function refusedAs(format: ArtifactFormat, name: string, bytes: Uint8Array, ...rules: RuleId[]): Promise<void> {
  const found = await judged(name, bytes);
  expect(found).toMatchObject({ format, verdict: 'refused' });
  expect(found.rules).toEqual(expect.arrayContaining(['format-not-allowed', ...rules]));
}

describe('an ONNX model, which no policy lets in without a scanner', () => {
  it.each([
    ['climbs out of its folder', onnx({ location: '../../../etc/passwd' })],
    ['is absolute', onnx({ location: '/etc/passwd' })],
    ['leads through a folder that can be a link', onnx({ location: 'link/weights.bin' })],
    ['is empty', onnx({ location: '' })],
    ['begins beyond its file', onnx({ location: 'w.bin', offset: '99999999999', length: '4' })],
    ['begins before its file', onnx({ location: 'w.bin', offset: '-8', length: '4' })],
    ['is longer than its file', onnx({ location: 'w.bin', offset: '0', length: '99999999999' })],
    ['is of a negative length', onnx({ location: 'w.bin', length: '-1' })],
  ])('attack: whose external data %s is refused', async (_, bytes) => {
    await refusedAs('onnx', 'model.onnx', bytes);
    await refusedAs('onnx', 'notes.txt', bytes);
  });

  it('attack: with operators of another domain, which load code of their own, is refused', async () => {
    await refusedAs('onnx', 'model.onnx', onnx({ location: 'w.bin' }, 'com.example.evil'));
  });
});

describe('a GGUF model, which no policy lets in without a scanner', () => {
  const pair = (key: string, value: string) => [key, 8, GGUF.string(value)[2]] as const;
  const tensor = ggufTensor('w', [u64(2)], 0, u64(0));

  it.each([
    ['of version 0', gguf({ version: 0 })],
    ['of version 1', gguf({ version: 1 })],
    ['of a version to come', gguf({ version: 99 })],
    ['of the other byte order', gguf({ version: 0x03000000 })],
    ['with more tensors than there are addresses', gguf({ tensors: HUGE })],
    ['with more keys than there are addresses', gguf({ pairs: HUGE })],
    ['with a key of length -1', gguf({ pairs: Buffer.concat([u64(1), HUGE]) })],
    ['with a key twice', gguf({ keys: [pair('general.name', 'a'), pair('general.name', 'b')] })],
    ['with a tensor twice', gguf({ infos: [tensor, tensor] })],
    ['aligned by 13', gguf({ keys: [['general.alignment', 4, u32(13)]] })],
    ['aligned by 2 GiB', gguf({ keys: [['general.alignment', 4, u32(0x80000000)]] })],
    ['aligned by a text', gguf({ keys: [pair('general.alignment', '32')] })],
    [
      'with dimensions whose product overflows',
      gguf({ infos: [ggufTensor('w', [u64(2 ** 33), u64(2 ** 33)], 0, u64(0))] }),
    ],
    ['with a size in bytes that overflows', gguf({ infos: [ggufTensor('w', [hex('ffffffffffffff3f')], 0, u64(0))] })],
    ['with data beyond the file', gguf({ infos: [ggufTensor('w', [u64(2)], 0, u64(2 ** 40))] })],
    [
      'with a template that reaches the interpreter',
      gguf({ keys: [pair('tokenizer.chat_template', '{{ x.__class__ }}')] }),
    ],
  ])('attack: %s is refused, and nothing is allocated for it', async (_, bytes) => {
    await refusedAs('gguf', 'model.gguf', bytes);
  });

  it('attack: whose magic is wrong is of no known format', async () => {
    const bytes = gguf();
    bytes.write('GGUX');
    expect(await judged('model.gguf', bytes)).toMatchObject({ format: 'unknown', rules: ['unknown-format'] });
  });
});

describe('a Keras model, which no policy lets in without a scanner', () => {
  const config = JSON.stringify({
    class_name: 'Functional',
    config: { layers: [{ module: 'keras.layers', class_name: 'Lambda', config: { function: ['4wEAAAA='] } }] },
  });
  const keras = (json: string): Buffer =>
    zip([
      { name: 'metadata.json', bytes: Buffer.from('{"keras_version":"3.5.0"}') },
      { name: 'config.json', bytes: Buffer.from(json) },
      { name: 'model.weights.h5', bytes: kerasHdf5('') },
    ]);

  it('attack: with a Lambda layer is refused for that, too', async () => {
    await refusedAs('keras', 'model.keras', keras(config), 'lambda-layer');
  });

  it('attack: with a module of the attacker is refused for that, too', async () => {
    await refusedAs('keras', 'model.keras', keras('{"module":"os","class_name":"system","config":{}}'), 'import-path');
  });

  it('attack: of the legacy format with a Lambda layer is refused, under any name', async () => {
    await refusedAs('hdf5', 'model.h5', kerasHdf5(config));
    await refusedAs('hdf5', 'weights.bin', kerasHdf5(config));
    await refusedAs('hdf5', 'model.h5', Buffer.concat([Buffer.alloc(512), kerasHdf5(config)]));
  });
});

describe('a TensorFlow SavedModel, which no policy lets in without a scanner', () => {
  it.each(['ReadFile', 'WriteFile', 'PyFunc', 'MatchingFiles'])('attack: that does %s is refused', async (op) => {
    await refusedAs('saved-model', 'saved_model.pb', savedModel(op));
  });
});

describe('what runs by itself', () => {
  const elf = Buffer.alloc(64);
  elf.set(hex('7f454c46 02010100 0000000000000000 0300 3e00 01000000'));
  const pe = Buffer.alloc(256);
  pe.set(hex('4d5a9000 03000000 04000000 ffff0000 b8'));
  pe.writeUInt32LE(128, 60);
  pe.set(hex('50450000 6486'), 128);

  it.each([
    ['ELF', elf],
    ['PE', pe],
    ['Mach-O of 64 bits', hex('cffaedfe 07000001 03000000 02000000 10000000')],
    ['Mach-O of 32 bits, big-endian', hex('feedface 00000012 00000000 00000002')],
    ['Mach-O for two machines', hex('cafebabe 00000002 01000007 00000003')],
    ['WebAssembly', hex('0061736d 01000000')],
  ])('attack: %s is refused, under the name of weights and of text', async (_, bytes) => {
    await refusedAs('executable', 'weights.bin', bytes);
    await refusedAs('executable', 'README.md', bytes);
  });

  it('is no text that speaks of it', async () => {
    expect(await judged('README.md', Buffer.from('# Scripts\n\nbegin with `#!/bin/sh`.\n'))).toMatchObject({
      verdict: 'clean',
    });
  });
});

describe('what is packed', () => {
  it.each([
    ['7z', hex('377abcaf271c 0004 a1b2c3d4 2000000000000000 1500000000000000 00000000')],
    ['rar', hex('526172211a0701 00 3392b5e5 0a01 05060005 01018080')],
    ['rar of version 4', hex('526172211a0700 cf907300 000d000000 00000000')],
    ['gzip', gzipSync(evil)],
    ['bzip2', hex('425a6839 314159265359 4eece836 00000251 80001040 00064490 80200031')],
    ['xz', hex('fd377a585a00 0004 e6d6b446 0200210116000000 742fe5a3')],
    ['zstandard', hex('28b52ffd 2403 190000 68690a')],
    ['lz4', hex('04224d18 6440a7 03000080 68690a 00000000')],
    ['ar', Buffer.from('!<arch>\nx/              0           0     0     644     0         `\n')],
  ])('attack: %s is refused, under any name', async (_, bytes) => {
    await refusedAs('compressed', 'weights.bin', bytes);
    await refusedAs('compressed', 'model.txt', bytes);
  });

  it.each([
    ['in a zip', zip([{ name: 'a.7z', bytes: hex('377abcaf271c0004') }]), 'zip'],
    ['in a tar', tar([{ name: 'a.tar', bytes: tar([{ name: 'b.tar', bytes: tar([hello]) }]) }]), 'tar'],
    ['in a packed entry', zip([{ name: 'a.gz', bytes: gzipSync(evil), deflated: true }]), 'zip'],
  ] as const)('attack: an archive %s is not gone into, and refused', async (_, bytes, format) => {
    await refusedAs(format, 'weights.bin', bytes, 'nested-archive');
  });

  it('attack: with a password is not clean, since nobody can look into it', async () => {
    await refusedAs('zip', 'weights.zip', zip([{ ...hello, flags: 1 }]), 'encrypted');
  });

  it('attack: a zip of zips that unpacks to gigabytes is refused at its first entry', async () => {
    const bomb = zip([{ name: '0', bytes: Buffer.alloc(16 * 2 ** 20), deflated: true }]);
    await refusedAs('zip', 'lib 0.zip', bomb, 'ratio-bomb');
    await refusedAs('zip', '42.zip', zip([{ name: 'lib 0.zip', bytes: bomb }]), 'nested-archive');
  });
});

describe('a name that says something else than the bytes', () => {
  it.each(['model.safetensors', 'notes.txt', 'config.json', 'README.md'])(
    'attack: a pickle called %s',
    async (name) => {
      await refusedAs('pickle', name, evil, 'unsafe-global');
      expect((await judged(name, evil)).rules.includes('misnamed')).toBe(name.endsWith('.safetensors'));
    },
  );

  it.each(['weights.bin', 'model.safetensors', 'vocab.txt'])('attack: a zip called %s', async (name) => {
    await refusedAs('zip', name, zip([hello]));
    await refusedAs('pytorch', name, torchZip(evil), 'unsafe-global');
  });

  it('attack: NumPy objects called text', async () => {
    await refusedAs('numpy', 'labels.txt', npy("'|O'", evil), 'object-array', 'unsafe-global');
    await refusedAs('numpy', 'arrays.txt', zip([{ name: 'a.npy', bytes: npy("'|O'", evil) }]), 'object-array');
  });

  it('attack: PyTorch 0.1.10, a tar of pickles', async () => {
    const members = ['sys_info', 'pickle', 'storages', 'tensors'].map((name) => ({ name, bytes: evil }));
    await refusedAs('tar', 'model.pt', tar(members), 'unsafe-global');
  });

  it('attack: PyTorch before 1.6, five pickles and raw bytes', async () => {
    const magic = hex('80028a0a6cfc9c46f9206aa850192e');
    const rest = pickle('\x80\x02M\xe9\x03.', '\x80\x02}.', '\x80\x02cos\nsystem\nU\x02id\x85R.', '\x80\x02].');
    await refusedAs('pickle', 'model.bin', Buffer.concat([magic, rest, Buffer.alloc(16)]), 'unsafe-global');
  });
});

describe('what is two things', () => {
  const data = zip([hello]);

  it('attack: safetensors and a zip', async () => {
    const both = writeSafetensors([{ name: 'w', dtype: 'U8', shape: [data.length], data }]);
    expect(await judged('model.safetensors', both)).toEqual({
      ...{ format: 'safetensors', verdict: 'refused', rules: ['polyglot'] },
    });
  });

  it('attack: a PDF and a zip', async () => {
    await refusedAs('pdf', 'paper.pdf', Buffer.concat([Buffer.from('%PDF-1.7\n1 0 obj\n'), data]), 'polyglot');
  });

  it('attack: an allowed pickle and a zip', async () => {
    await refusedAs('pickle', 'model.pkl', Buffer.concat([state, data]), 'polyglot');
  });
});

describe('what is of no known format', () => {
  it.each([
    ['a Java object', hex('aced0005 7372')],
    ['a TensorFlow Lite model', hex('1c000000 54464c33 14002000')],
    ['a database', Buffer.from('SQLite format 3\0\x10\0\x01\x01')],
    ['a cabinet', Buffer.from('MSCF\0\0\0\0')],
    ['Parquet', Buffer.from('PAR1\x15\x04\x15\x10')],
    ['LZMA alone', hex('5d000080 00ffffff ffffffffff')],
    ['text of two bytes a character', Buffer.from('\ufeffMZ', 'utf16le')],
  ])('attack: %s is not clean', async (_, bytes) => {
    const { verdict, rules } = await judged('data.bin', bytes);
    expect(verdict).not.toBe('clean');
    expect(rules).toContain('unknown-format');
  });
});
