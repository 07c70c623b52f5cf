import { describe, expect, it } from 'vitest';
import { calls, pickle, PROTO4, scanBytes, text, torchZip, u32, u64 } from '../../support/artifacts.js';

const orderedDict = pickle(PROTO4, text('collections'), text('OrderedDict'), 0x93, ')R.');

describe('a pickle', () => {
  it.each([1, 2, 3, 7, 1024])('of data and allowed imports has nothing against it, in chunks of %s bytes', (chunk) => {
    expect(scanBytes(orderedDict, chunk)).toMatchObject({ format: 'pickle', findings: [] });
  });

  it.each([1, 2, 3, 7, 1024])(
    'attack: GLOBAL os.system and REDUCE is named with its byte, in chunks of %s',
    (chunk) => {
      const evil = pickle(0x80, 2, 'cos\nsystem\n', 'X', u32(2), 'id', 0x85, 'R.');
      const { format, findings } = scanBytes(evil, chunk);
      expect(format).toBe('pickle');
      expect(findings).toEqual([
        {
          file: 'file',
          offset: 2,
          rule: 'unsafe-global',
          atlas: 'AML.T0011.000',
          message: 'it imports os.system, which is not known to be safe',
        },
      ]);
    },
  );

  it('attack: STACK_GLOBAL whose names come from the memo', () => {
    const evil = pickle(
      PROTO4,
      text('os'),
      0x94,
      '0',
      text('system'),
      0x94,
      '0',
      'h\0h\x01',
      0x93,
      text('id'),
      0x85,
      'R.',
    );
    expect(scanBytes(evil).findings).toMatchObject([
      { rule: 'unsafe-global', message: expect.stringMatching('os.system') },
    ]);
  });

  it('attack: STACK_GLOBAL whose names are made while it is loaded is not known, and so not safe', () => {
    const made = pickle(text('_codecs'), text('encode'), 0x93, text('so'), text('latin1'), 0x86, 'R');
    const evil = pickle(PROTO4, made, text('system'), 0x93, text('id'), 0x85, 'R.');
    expect(scanBytes(evil).rules).toEqual(['dynamic-import']);
  });

  it('attack: a name that was given long before is still not an allowed one', () => {
    const many = Array.from({ length: 2000 }, (_, at) => pickle(text(`name${at}`), '0'));
    const evil = pickle(PROTO4, text('os'), 0x94, '0', text('system'), 0x94, '0', ...many, 'h\0h\x01', 0x93, '.');
    expect(scanBytes(evil, 512).rules).toEqual(['unsafe-global']);
  });

  it.each([
    ['timeit', 'timeit'],
    ['pip', 'main'],
    ['pip._internal', 'main'],
    ['pydoc', 'pipepager'],
    ['torch._inductor.codecache', 'compile_file'],
    ['torch.hub', 'load'],
    ['idlelib.pyshell', 'ModifiedInterpreter.runcode'],
    ['uuid', '_get_command_stdout'],
    ['_osx_support', '_read_output'],
    ['_aix_support', '_read_cmd_output'],
    ['aix_support', '_read_cmd_output'],
    ['builtins', 'getattr'],
    ['builtins', 'eval'],
    ['functools', 'partial'],
    ['operator', 'methodcaller'],
    ['numpy.f2py.crackfortran', 'getlincoef'],
    ['numpy', 'load'],
    ['collections', 'OrderedDict.__init__.__globals__'],
    ['torch', 'storage._load_from_bytes'],
    ['cProfile', 'run'],
  ])('attack: %s.%s looks like a name one would allow, and is not on the list', (module, name) => {
    expect(scanBytes(calls(module, name)).rules).toContain('unsafe-global');
  });

  it.each([
    ['a payload before an opcode that is none', pickle('cos\nsystem\n(X', u32(2), 'idtR', 0xff, 'rest')],
    ['a payload before the end of the file', pickle(0x80, 2, 'cos\nsystem\n(X', u32(2), 'idtR')],
    ['a payload before a string without an end', pickle(0x80, 2, 'cos\nsystem\n(X', u32(2), 'idtRX', u32(9999), 'x')],
    ['a payload before a stack that is empty', pickle(0x80, 2, 'cos\nsystem\n(X', u32(2), 'idtR000.')],
  ])('attack: %s has been called by the time that it breaks', (_, evil) => {
    const { format, rules } = scanBytes(evil);
    expect(format).toBe('pickle');
    expect(rules).toEqual(['unsafe-global', 'broken-pickle']);
  });

  it.each([
    ['no STOP', pickle(PROTO4, ']')],
    ['nothing but a protocol', PROTO4],
    ['a mark that was not set', pickle(PROTO4, 't.')],
    ['a STOP without a value', pickle(PROTO4, '.')],
    ['a place in the memo that is empty', pickle(PROTO4, 'h\x07.')],
    ['a protocol that there is not', pickle(0x80, 5, 0x80, 6, 'N.')],
  ])('that is broken by %s is not clean', (_, bytes) => {
    expect(scanBytes(bytes).rules).toEqual(['broken-pickle']);
  });

  it.each([
    ['an opcode beyond its frame', pickle(PROTO4, 0x95, u64(3), text('four'), '.')],
    ['a frame within another', pickle(PROTO4, 0x95, u64(20), 'N0', 0x95, u64(2), 'N.')],
    ['a STOP within its frame', pickle(PROTO4, 0x95, u64(4), 'N.N.')],
    ['a frame beyond the file', pickle(PROTO4, 0x95, u64(5000), 'N.')],
  ])('attack: %s, of which two loaders make two things', (_, evil) => {
    expect(scanBytes(evil).rules).toContain('frame-boundary');
  });

  it('attack: a call by INST, by OBJ or by NEWOBJ is seen, though its answer is thrown away', () => {
    expect(scanBytes(pickle(0x80, 1, "(S'id'\nios\nsystem\n0N.")).rules).toEqual(['unsafe-global']);
    expect(scanBytes(pickle(0x80, 1, "(cos\nsystem\nS'id'\no0N.")).rules).toEqual(['unsafe-global']);
    expect(scanBytes(pickle(PROTO4, text('os'), text('system'), 0x93, ')', 0x81, '0N.')).rules).toEqual([
      'unsafe-global',
    ]);
  });

  it('attack: a dotted name that climbs through an allowed module', () => {
    expect(scanBytes(calls('numpy', 'core.os.system')).rules).toEqual(['unsafe-global']);
    expect(scanBytes(calls('collections', '_sys.modules')).rules).toEqual(['unsafe-global']);
  });

  it('attack: what an allowed call has made cannot be called, nor an import be changed', () => {
    const made = pickle(text('collections'), text('OrderedDict'), 0x93, ')R');
    expect(scanBytes(pickle(PROTO4, made, ')R.')).rules).toEqual(['unsafe-call']);
    const type = pickle(text('collections'), text('OrderedDict'), 0x93);
    expect(scanBytes(pickle(PROTO4, type, '}', text('x'), 'Nsb.')).rules).toEqual(['unsafe-call']);
    expect(scanBytes(pickle(PROTO4, type, text('x'), 'Ns.')).rules).toEqual(['unsafe-call']);
  });

  it('attack: an extension code is an import of which the name stands elsewhere', () => {
    expect(scanBytes(pickle(0x80, 2, 0x82, 7, ')R.')).rules).toEqual(['extension-code']);
  });

  it('attack: a persistent id outside of what PyTorch writes is handed to code', () => {
    const evil = pickle(0x80, 2, text('x'), 'Q.');
    expect(scanBytes(evil).rules).toEqual(['persistent-id']);
    expect(scanBytes(torchZip(evil)).findings).toEqual([]);
  });

  it('attack: a structure of a few bytes that is beyond all bounds once it is written out', () => {
    const doubled = Array.from({ length: 60 }, (_, at) => pickle('h', at, 'h', at, 0x86, 'q', at + 1, '0'));
    expect(scanBytes(pickle(0x80, 2, 'Nq\0', '0', ...doubled, 'N.')).rules).toEqual(['resource-limit']);
    const tuples = Array.from({ length: 60 }, () => pickle('2', 0x86));
    expect(scanBytes(pickle(0x80, 2, 'N', ...tuples, '.')).rules).toEqual(['resource-limit']);
    const lists = Array.from({ length: 60 }, (_, at) =>
      pickle(']q', at, '(h', Math.max(0, at - 1), 'h', Math.max(0, at - 1), 'h', Math.max(0, at - 1), 'e0'),
    );
    expect(scanBytes(pickle(0x80, 2, ...lists, 'N.')).rules).toEqual(['resource-limit']);
  });

  const named = (module: string, name: string): Buffer => pickle(text(module), text(name), 0x93);
  const encode = named('_codecs', 'encode');
  const trillion = pickle(0x8a, 6, Buffer.from('0010a5d4e800', 'hex'));
  const view = pickle(named('torch._utils', '_rebuild_tensor_v2'), '(NK', 0, trillion, 'tR');
  const dtype = pickle(named('numpy', 'dtype'), text('V2000000000'), 0x85, 'R');
  const reconstruct = named('numpy.core.multiarray', '_reconstruct');
  const array = named('numpy', 'ndarray');
  const bytes = named('builtins', 'bytes');

  it.each([
    ['bytes(10**12)', [bytes, trillion, 0x85, 'R']],
    ['bytes(10**12), written as text', ['c__builtin__\nbytes\n(I1000000000000\ntR']],
    ['bytes(10**12) by INST', ['(L1000000000000L\nibuiltins\nbytes\n']],
    ['bytes(10**12) by OBJ', ['(', bytes, trillion, 'o']],
    ['bytes.__new__(bytes, 10**12)', [bytes, trillion, 0x85, 0x81]],
    ['bytes.__new__(bytes, 10**12), by keyword', [bytes, trillion, 0x85, '}', 0x92]],
    ['bytes(10**12) whose number was kept before', [trillion, 'q', 9, '0', bytes, 'h', 9, 0x85, 'R']],
    ['bytearray(10**12)', [named('builtins', 'bytearray'), trillion, 0x85, 'R']],
    ['a range, to be gone through', [named('builtins', 'range'), trillion, 0x85, 'R']],
    ['set(range(10**12))', [named('builtins', 'set'), named('builtins', 'range'), trillion, 0x85, 'R', 0x85, 'R']],
    ['int() of text that takes for ever', [named('builtins', 'int'), text('9'), 0x85, 'R']],
    ['list() of what a call answered', [named('builtins', 'list'), view, 0x85, 'R']],
    ['set() of a tensor that is one number, seen a trillion times', [named('builtins', 'set'), view, 0x85, 'R']],
    ['deque() of the same', [named('collections', 'deque'), view, 0x85, 'R']],
    ['torch.Size() of the same', [named('torch', 'Size'), view, 0x85, 'R']],
    ['bytes() of a number that a call answered', [bytes, view, 0x85, 'R']],
    ['bytes() of arguments that a call answered', [bytes, named('torch', 'Size'), ')R', 'R']],
    ['an instance of bytes', [named('copyreg', '_reconstructor'), bytes, bytes, trillion, 0x87, 'R']],
    ['a storage', [named('torch', 'FloatStorage'), trillion, 0x85, 'R']],
    ['an array', [array, trillion, 0x85, 0x85, 'R']],
    ['an array by its pickler', [reconstruct, array, trillion, 0x85, 'C', 1, 'b', 0x87, 'R']],
    [
      'an array of many short sides',
      [reconstruct, array, ...['(K', 99, 'K', 99, 'K', 99, 't'], 'C', 1, 'b', 0x87, 'R'],
    ],
    [
      'an array whose shape grows after it was given',
      [']q', 0, '0', reconstruct, array, 'h', 0, 'C', 1, 'b', 0x87, 'q', 1, '0h', 0, trillion, 'a0h', 1, 'R'],
    ],
    ['an element of two billion bytes', [named('numpy.core.multiarray', 'scalar'), dtype, 0x85, 'R']],
    [
      'a text that grows with each encoding',
      [encode, encode, text('x'), text('hex'), 0x86, 'R', text('hex'), 0x86, 'R'],
    ],
    ['an encoding that takes for ever', [encode, text('x'), text('idna'), 0x86, 'R']],
  ])('attack: %s is an allowed import that takes all memory, or all time', (_, parts) => {
    expect(scanBytes(pickle(0x80, 2, ...parts, '.')).rules).toContain('resource-limit');
  });

  it('attack: a fraction whose exponent takes all memory is imported by no name that is allowed', () => {
    expect(scanBytes(calls('fractions', 'Fraction', '1e999999999')).rules).toEqual(['unsafe-global']);
  });

  it('attack: a memo place far beyond all others makes a loader allocate it', () => {
    expect(scanBytes(pickle(0x80, 2, 'Nr', u32(0xfffffff0), '.')).rules).toEqual(['resource-limit']);
  });

  it('attack: a stack of millions of values is a bomb', () => {
    expect(scanBytes(pickle(0x80, 2, Buffer.alloc(3_000_000, 'N'), '.')).rules).toEqual(['resource-limit']);
    expect(scanBytes(pickle(0x80, 2, Buffer.alloc(3_000_000, '('), '.')).rules).toEqual(['resource-limit']);
  });

  it('attack: what follows the end of a pickle is another one, or does not belong to it', () => {
    expect(scanBytes(pickle(orderedDict, calls('os', 'system'))).rules).toEqual(['unsafe-global']);
    expect(scanBytes(pickle(orderedDict, 'and more')).rules).toEqual(['trailing-bytes']);
  });

  it('attack: text that is a pickle of the first protocol is one, whatever it is called', () => {
    expect(scanBytes(Buffer.from("cos\nsystem\n(S'id'\ntR."))).toMatchObject({
      format: 'pickle',
      rules: ['unsafe-global'],
    });
    expect(scanBytes(Buffer.from("(dp0\nS'x'\np1\ncnt\nsystem\np2\n(S'id'\ntp3\nR"))).toMatchObject({
      format: 'pickle',
    });
  });

  it.each([
    'cat\ndog\nbird\n',
    'I am a cat.\n',
    'class,name\n1,2\n',
    'Nothing.\n',
    '(see below).\n',
    'imagenet\nlabels\n',
    '.\n',
  ])('is not what this text is: %j', (words) => {
    expect(scanBytes(Buffer.from(words))).toMatchObject({ format: 'text', findings: [] });
  });
});
