import { describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { scanBytes } from '../../support/artifacts.js';

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const header = (text: string, data = 0): Buffer => {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  return Buffer.concat([length, Buffer.from(text), Buffer.alloc(data)]);
};
const tensor = (begin: number, end: number, shape: readonly number[] = [end - begin]): object => ({
  dtype: 'U8',
  shape,
  data_offsets: [begin, end],
});

describe('a safetensors file', () => {
  it('that is one has nothing against it', () => {
    const bytes = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [2], data: Buffer.alloc(8) }]);
    expect(scanBytes(bytes, 3)).toMatchObject({ format: 'safetensors', findings: [] });
  });

  it.each([
    ['a header beyond the address space', Buffer.concat([Buffer.alloc(8, 0xff), Buffer.from('{}')])],
    ['a header of more than 100 MB', Buffer.concat([Buffer.from('0000000100000000', 'hex'), Buffer.from('{}')])],
    ['a header beyond the file', Buffer.concat([Buffer.from('ff00000000000000', 'hex'), Buffer.from('{}')])],
    [
      'a key that stands twice',
      header(
        '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      ),
    ],
    ['a hole in its bytes', header(JSON.stringify({ a: tensor(0, 2), b: tensor(4, 6) }), 6)],
    ['tensors that overlap', header(JSON.stringify({ a: tensor(0, 4), b: tensor(2, 6) }), 6)],
    ['bytes behind the last tensor', header(JSON.stringify({ a: tensor(0, 2) }), 9)],
    ['bytes that are missing', header(JSON.stringify({ a: tensor(0, 9) }), 2)],
    ['bytes that are not UTF-8', header('{"\udcff":1}'.replace('\udcff', 'x')).fill(0xff, 10, 11)],
    ['a document that is nested', header(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`)],
    ['a shape that overflows', header(JSON.stringify({ a: tensor(0, 2, [2 ** 31, 2 ** 31, 2 ** 31]) }), 2)],
    ['an unknown type', header(JSON.stringify({ a: { ...tensor(0, 2), dtype: 'X9' } }), 2)],
    ['a tensor that is no tensor', header('{"a":1}')],
    ['metadata that is no text', header('{"__metadata__":{"a":{"b":1}}}')],
  ])('attack: with %s is refused', (_, bytes) => {
    expect(scanBytes(bytes)).toMatchObject({ format: 'safetensors', rules: ['malformed'] });
  });

  it('attack: with a header of hundreds of megabytes is refused before it is read', () => {
    const claimed = Buffer.alloc(9);
    claimed.writeBigUInt64LE(90_000_000n);
    claimed.write('{', 8);
    expect(scanBytes(Buffer.concat([claimed, Buffer.alloc(90_000_000, ' ')]))).toMatchObject({
      rules: ['resource-limit'],
    });
  });

  it('attack: whose header does not begin with a brace is none', () => {
    expect(scanBytes(header(' {}'))).toMatchObject({ format: 'unknown' });
  });
});

describe('a format that is let in by nobody', () => {
  it.each([
    ['gguf', Buffer.from('GGUF\x03\0\0\0\0\0\0\0\0\0\0\0', 'latin1')],
    ['onnx', Buffer.from('08071207707974.6f726368'.replace('.', ''), 'hex')],
    ['saved-model', Buffer.from('080112100a0e1204', 'hex')],
    ['hdf5', Buffer.from('894844460d0a1a0a00000000', 'hex')],
    ['executable', Buffer.from('7f454c4602010100', 'hex')],
    ['executable', Buffer.from('4d5a90000300000004000000', 'hex')],
    ['executable', Buffer.from('cffaedfe07000001', 'hex')],
    ['compressed', Buffer.from('1f8b0800', 'hex')],
    ['compressed', Buffer.from('377abcaf271c0004', 'hex')],
    ['compressed', Buffer.from('789c6b6099ca05000000', 'hex')],
    ['compressed', Buffer.concat([Buffer.from('785e', 'hex'), Buffer.from('000000ffff'.repeat(1000), 'hex')])],
    ['pdf', Buffer.from('%PDF-1.7\n')],
    ['unknown', Buffer.from('0001020304fffefd', 'hex')],
    ['unknown', Buffer.from('\ufeff{"a":1}', 'utf16le')],
  ] as const)('is told by its bytes: %s', (format, bytes) => {
    expect(scanBytes(bytes)).toMatchObject({ format, findings: [] });
  });

  it('is not what text is that begins with the same letters', () => {
    expect(scanBytes(Buffer.from('MZ is a magic number.\n')).format).toBe('text');
    expect(scanBytes(Buffer.from('BZh was here\n')).format).toBe('compressed');
  });
});

/** A field of a protobuf message, of fewer than 128 bytes. */
function field(number: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
}

describe('a tokenizer', () => {
  const piece = Buffer.from('0a0e0a053c756e6b3e150000000018020a0a0a0161150000803f1801'.slice(0, 32), 'hex');

  it('of SentencePiece is one if all of it is', () => {
    expect(scanBytes(piece)).toMatchObject({ format: 'tokenizer', findings: [] });
    expect(scanBytes(Buffer.concat([piece, Buffer.from('and more')]))).toMatchObject({ format: 'unknown' });
  });

  it('has a specification of its training, which is text and numbers', () => {
    const spec = field(
      2,
      Buffer.concat([field(1, 'a.txt'), field(2, 'spm'), Buffer.from('1801', 'hex'), field(5, 'en')]),
    );
    expect(scanBytes(Buffer.concat([piece, spec]))).toMatchObject({ format: 'tokenizer', findings: [] });
  });

  it('attack: is no SavedModel, whose graphs TensorFlow takes from where that specification stands', () => {
    const node = field(1, Buffer.concat([field(1, 'r'), field(2, 'ReadFile')]));
    for (const graph of [field(2, node), field(2, Buffer.concat([node, field(1, field(1, 's'))]))]) {
      const both = Buffer.concat([piece, field(2, Buffer.concat([field(1, field(4, 'serve')), graph]))]);
      expect(scanBytes(both)).toMatchObject({ format: 'unknown' });
    }
    expect(scanBytes(Buffer.concat([piece, field(2, field(3, 'x'))]))).toMatchObject({ format: 'unknown' });
  });
});

describe('a JSON document', () => {
  it.each([
    ['of a model', { architectures: ['BertModel'], hidden_size: 384, trust_remote_code: false }],
    [
      'of a tokenizer',
      {
        tokenizer_class: 'BertTokenizer',
        chat_template: "{% for m in messages %}{{ m['role'] + ': ' + m.content | trim }}{% endfor %}",
      },
    ],
    ['of a vocabulary', { constructor: 1, __proto_: 2, prototype: 3, '{{': 4, auto: 5 }],
    ['of sentence-transformers', [{ idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' }]],
    ['of Keras', { module: 'keras.layers', class_name: 'Dense', config: { units: 4 }, registered_name: null }],
  ])('%s has nothing against it', (_, value) => {
    expect(scanBytes(json(value), 5)).toMatchObject({ format: 'json', findings: [] });
  });

  it('with the numbers that Python writes is read as Python reads it', () => {
    const text =
      '{"model_max_length": 1000000000000000019884624838656, "limit": [0.0, Infinity], "x": NaN, "s": "\\ud800"}';
    expect(scanBytes(Buffer.from(text))).toMatchObject({ format: 'json', findings: [] });
  });

  it.each([
    ['auto_map', { auto_map: { AutoModel: 'modeling_x.Model' } }, 'remote-code'],
    [
      'auto_map of another repository',
      { a: [{ auto_map: { AutoModel: 'someone/x--modeling.Model' } }] },
      'remote-code',
    ],
    ['trust_remote_code', { trust_remote_code: true }, 'remote-code'],
    ['a kernel that is fetched', { _attn_implementation_internal: 'someone/kernel' }, 'remote-code'],
    ['a kernel that is fetched, by its other name', { attn_implementation: 'someone/kernel@v1' }, 'remote-code'],
    ['a pipeline of its own', { custom_pipeline: 'someone/pipe' }, 'remote-code'],
    ['what Hydra calls', { model: { _target_: 'os.system', command: 'id' } }, 'import-path'],
    ['what jsonpickle makes', { 'py/object': 'subprocess.Popen' }, 'import-path'],
    ['a module of sentence-transformers that is another', [{ idx: 0, path: '', type: 'os.system' }], 'import-path'],
    ['a class of Keras from anywhere', { module: 'builtins', class_name: 'exec', config: {} }, 'import-path'],
    ['a class of Keras from os', { config: { layers: [{ module: 'os', class_name: 'system' }] } }, 'import-path'],
    ['a layer of Keras that is code', { class_name: 'Lambda', config: { function: ['4wEA'] } }, 'lambda-layer'],
    ['the switch that lets it in', { config: { enable_unsafe_deserialization: true } }, 'lambda-layer'],
  ])('attack: with %s', (_, value, rule) => {
    expect(scanBytes(json(value))).toMatchObject({ format: 'json', rules: [rule] });
  });

  it('says at which byte the object begins', () => {
    expect(scanBytes(Buffer.from('{"ä": 1, "b": {"trust_remote_code": true}}')).findings).toMatchObject([
      { offset: 15 },
    ]);
  });

  it.each([
    ['a key twice, of which a loader takes the last', '{"a": 1, "auto_map": null, "auto_map": {"x": "y"}}'],
    ['two documents', '{"a": 1}{"auto_map": 1}'],
    ['no end', '{"a": '],
    ['a byte-order mark', '\ufeff{"a": 1}'],
    ['too many levels', `{"a": ${'['.repeat(1000)}${']'.repeat(1000)}}`],
  ])('attack: with %s cannot be looked through, and is not clean', (_, text) => {
    expect(scanBytes(Buffer.from(text))).toMatchObject({ format: 'json', rules: ['malformed'] });
  });
});

describe('a chat template', () => {
  const inTokenizer = (template: string): Buffer => json({ chat_template: [{ name: 'default', template }] });

  it.each([
    '{{ bos_token }}{% for message in messages %}{% if message.role == "user" %}[INST] {{ message["content"] }} [/INST]{% endif %}{% endfor %}',
    '{%- set ns = namespace(found=false) -%}{% for m in messages[1:] %}{% set ns.found = true %}{{ messages[loop.index0 - 1].role }}{% endfor %}',
    "{{ raise_exception('roles must alternate') }}{{ tools | tojson(indent=4) }}{{ m['content'].split('</think>')[-1].lstrip('\\n') }}",
  ])('as models have it has nothing against it', (template) => {
    expect(scanBytes(Buffer.from(template))).toMatchObject({ format: 'text', findings: [] });
    expect(scanBytes(inTokenizer(template)).findings).toEqual([]);
  });

  it.each([
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x['__class__'] }}",
    "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ x['\\u005f_class_\\u005f'] }}",
    "{{ x['\\137\\137class__'] }}",
    "{{ x|attr('__cl' ~ 'ass__') }}",
    '{{ x|attr(name) }}',
    "{{ x['_' ~ '_class_' ~ '_'] }}",
    "{% set u = '_' %}{{ x[u*2 + 'class' + u*2] }}",
    "{{ x['__cl' 'ass__'] }}",
    "{{ x[['cl', 'ass']|join] }}",
    "{{ '%c%cclass'|format(95, 95) }}{{ x['%c'|format(95)] }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ cycler['x'] }}",
    "{{ ([1]|map('upper')).gi_frame.f_back.f_globals }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{% include '/etc/passwd' %}",
    "{%- import 'x' as y -%}",
    '{{ users|map(attribute=a) }}',
    '{{ "\\N{LOW LINE}" }}',
  ])('attack: %s', (template) => {
    expect(new Set(scanBytes(Buffer.from(template), 7).rules)).toEqual(new Set(['template-escape']));
    expect(new Set(scanBytes(inTokenizer(template)).rules)).toEqual(new Set(['template-escape']));
  });

  it('attack: of endless blocks is gone through once', () => {
    expect(scanBytes(Buffer.alloc(400_000, '{{ [ '))).toMatchObject({ format: 'text' });
  });
});

describe('text', () => {
  it.each([
    '',
    '# Title\n',
    'a\tb\r\n',
    '[link](https://example.org)\n',
    '{% raw %}x{% endraw %}',
    'ünï\u{1f600}\n',
    '[PAD]\n[UNK]\nthe\n',
  ])('is %j', (words) => {
    expect(scanBytes(Buffer.from(words), 1)).toMatchObject({ format: 'text', findings: [] });
  });

  it.each([
    ['a control character', Buffer.from('a\x1b[31m')],
    ['a NUL', Buffer.from('a\0')],
    ['half a character', Buffer.from('ü').subarray(0, 1)],
    ['no UTF-8', Buffer.from([0x61, 0xff, 0x61])],
  ])('is not what has %s', (_, bytes) => {
    expect(scanBytes(bytes)).toMatchObject({ format: 'unknown' });
  });

  it.each(['!!python/object/apply:os.system ["id"]', 'a: !<tag:yaml.org,2002:python/name:os.system> x'])(
    'attack: of YAML that builds Python objects: %s',
    (words) => {
      expect(scanBytes(Buffer.from(`# config\n${words}\n`), 9).rules).toEqual(['unsafe-yaml']);
    },
  );
});
