import { execaSync } from 'execa';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RuleId } from '../../domain/artifacts.js';
import { printable } from '../../formats/json.js';
import { PickleReader } from '../../formats/scan/pickle.js';
import { isAllowedImport } from '../../formats/scan/pickle-imports.js';
import { scanBytes } from '../support/artifacts.js';
import { PickleProgram, seeded } from '../support/pickle-programs.js';

const python = process.env['CUSTODY_PYTHON'];
const ORACLE = resolve('test/support/pickle-oracle.py');
/** CUSTODY_FUZZ_RUNS makes a night of it. */
const RUNS = Number(process.env['CUSTODY_FUZZ_RUNS'] ?? 2500);
const SEED = Number(process.env['CUSTODY_FUZZ_SEED'] ?? 1);

interface Load {
  readonly imports: readonly (readonly [module: string, name: string])[];
  readonly ended: boolean;
  readonly calls: number;
}
/** For pickle.py, for _pickle.c, and for _pickle.c with a buffered file, what each pickle of the file does. */
type Answer = readonly (readonly Load[])[];

function loadAll(files: readonly Buffer[]): readonly Answer[] {
  const input = files.map((file) => file.toString('hex')).join('\n');
  const { stdout } = execaSync(python ?? '', ['-I', ORACLE], { input, maxBuffer: 1 << 28 });
  return stdout.split('\n').map((line) => JSON.parse(line) as Answer);
}

interface Walked {
  readonly told: readonly (readonly [rule: RuleId, message: string])[];
  readonly imports: number;
  readonly isExceeded: boolean;
}

function walk(bytes: Buffer, chunk = bytes.length): Walked {
  const told: [RuleId, string][] = [];
  const reader = new PickleReader((_, rule, message) => told.push([rule, message]), { size: bytes.length });
  for (let at = 0; at < bytes.length; at += chunk) reader.add(Buffer.from(bytes.subarray(at, at + chunk)));
  reader.end();
  return { told, imports: reader.imports, isExceeded: reader.isExceeded };
}

/** What CPython imports and the walker has not told; `null`: nothing. */
function untold(loads: readonly Load[], { told, imports, isExceeded }: Walked): string | null {
  // Its findings say that the file was not followed to its end, or that loaders read it in more than one way.
  if (isExceeded || told.some(([rule]) => rule === 'frame-boundary')) return null;
  const made = loads.flatMap((load) => load.imports);
  if (imports < made.length) return `${made.length} imports, ${imports} of them told`;
  const unknown = told.filter(
    ([rule, message]) => rule === 'dynamic-import' || rule === 'extension-code' || /\(a long string|…/.test(message),
  );
  const unnamed = made.filter(
    ([module, name]) =>
      !isAllowedImport(module, name) &&
      !told.some(([, message]) => message.startsWith(`it imports ${printable(`${module}.${name}`)},`)),
  );
  return unnamed.length <= unknown.length ? null : `not named: ${JSON.stringify(unnamed).slice(0, 300)}`;
}

const DATA = `
import argparse, collections, datetime, decimal, pickle, types
try:
    import numpy
    arrays = [numpy.arange(4000.0).reshape(40, 100), numpy.float64(1.5), numpy.array(['a', 'bc']), numpy.dtype('f4'),
              numpy.arange(9)[::-1], numpy.zeros((0, 7)), numpy.array([b'abc', b'']), numpy.array([True, False]),
              numpy.array([1+2j]), numpy.arange(3, dtype='>i2'), numpy.float16(0.5)]
except ImportError:
    arrays = []
values = [b'', b'abc', bytes(5000), bytearray(b''), bytearray(5000), {1, 'a', 10**9}, frozenset([2**40, (1, 2)]), 1+2j, range(9),
          slice(0, 10**6), collections.deque([1], 5000), collections.deque([b'x', 70000]), collections.Counter('hello'),
          collections.OrderedDict(a=10**12), collections.defaultdict(list, {1: [2]}), decimal.Decimal('1e3'), 10**100, -5,
          datetime.datetime(2020, 1, 1), datetime.timedelta(9999), argparse.Namespace(a=[1]), types.SimpleNamespace(b=5000),
          int, bytes, *arrays]
for protocol in range(6):
    print(pickle.dumps([*values, *values], protocol).hex())
    for value in values:
        print(pickle.dumps(value, protocol).hex(), pickle._dumps(value, protocol).hex(), sep='\\n')
`;

describe.runIf(python !== undefined)('what Python’s picklers write of data', () => {
  it('is called as they call it, in each protocol, and has nothing against it', () => {
    const { stdout } = execaSync(python ?? '', ['-I', '-c', DATA], { maxBuffer: 1 << 28 });
    const files = stdout.split('\n');
    expect(files.length).toBeGreaterThan(250);
    const found = files.flatMap((hex) => {
      const bytes = Buffer.from(hex, 'hex');
      const { told } = walk(bytes);
      return told.length === 0 ? [] : [{ told, hex: hex.slice(0, 400) }];
    });
    expect(found.slice(0, 5)).toEqual([]);
  });
});

describe.runIf(python !== undefined)('what CPython does with a pickle', () => {
  const random = seeded(SEED);
  const files = Array.from({ length: RUNS }, () => new PickleProgram(random).bytes());
  // The body of a group that is passed over runs all the same.
  const answers = python === undefined ? [] : loadAll(files);

  it('is exercised by these pickles: imports by every opcode, calls, several pickles in one file', () => {
    const loads = answers.flatMap((answer) => answer.flat());
    expect(answers.length).toBe(RUNS);
    expect(loads.filter(({ imports }) => imports.length > 0).length).toBeGreaterThan(RUNS);
    expect(loads.filter(({ imports }) => imports.length > 2).length).toBeGreaterThan(RUNS / 10);
    expect(loads.filter(({ ended, calls }) => ended && calls > 0).length).toBeGreaterThan(RUNS / 10);
    expect(answers.filter((answer) => answer.some((each) => each.length > 1)).length).toBeGreaterThan(RUNS / 20);
  });

  it('attack: has all been told: whatever it imports before it stops, the walker has named, however it is cut', () => {
    const missed = files.flatMap((file, at) =>
      [file.length + 1, file.length > 2000 ? 61 : 1, 7 + (at % 100)].flatMap((chunk) => {
        const walked = walk(file, chunk);
        return (answers[at] as Answer).flatMap((loads, reader) => {
          const problem = untold(loads, walked);
          return problem === null ? [] : [{ reader, chunk, problem, file: file.toString('hex') }];
        });
      }),
    );
    expect(missed.slice(0, 5)).toEqual([]);
  });

  it('attack: is never taken for text, or for clean, where something is called or an import is returned', () => {
    const missed = files.flatMap((file, at) => {
      const isHarmful = (answers[at] as Answer).some((loads) =>
        loads.some(
          ({ imports, calls, ended }) =>
            (calls > 0 || ended) && imports.some(([module, name]) => !isAllowedImport(module, name)),
        ),
      );
      return isHarmful && scanBytes(file).findings.length === 0 ? [file.toString('hex')] : [];
    });
    expect(missed.slice(0, 5)).toEqual([]);
  });
});
