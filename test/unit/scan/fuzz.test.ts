import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { readSarif } from '../../../formats/scan/sarif.js';
import type { CustodyError } from '../../../domain/errors.js';
import { calls, npy, pickle, PROTO4, scanBytes, tar, text, torchZip, zip } from '../../support/artifacts.js';

/** How many cases of each kind: CUSTODY_FUZZ_RUNS makes a night of it. */
const RUNS = Number(process.env['CUSTODY_FUZZ_RUNS'] ?? 300);
const CORPUS = 'test/unit/scan/corpus';

const state = pickle(PROTO4, '}', text('w'), text('collections'), text('OrderedDict'), 0x93, ')Rs.');
const hello = { name: 'hello.txt', bytes: Buffer.from('hello') };
/** One of each format that is looked into: what is changed in them goes deeper than what is made up. */
const SEEDS: readonly Buffer[] = [
  state,
  calls('os', 'system'),
  Buffer.from("(dp0\nS'x'\np1\ncnt\nsystem\np2\n(S'id'\ntp3\nR."),
  torchZip(state),
  zip([hello, { name: 'b.json', bytes: Buffer.from('{"auto_map":1}'), deflated: true }]),
  tar([hello, { name: '@', type: 'L', bytes: Buffer.from('long/name\0') }, { name: 'x', bytes: state }]),
  npy("'|O'", state),
  writeSafetensors([{ name: 'w', dtype: 'F32', shape: [2], data: Buffer.alloc(8) }]),
  Buffer.from('{"chat_template":"{{ x[0] }}","a":[{"module":"keras","class_name":"Dense"}]}'),
  Buffer.from("{% for m in messages %}{{ m['role'] ~ '\\x41' }}{% endfor %}"),
  Buffer.from('0a0e0a053c756e6b3e15000000001802', 'hex'),
];

type Edit = readonly [kind: 'set' | 'insert' | 'delete' | 'copy', at: number, value: number];
const edits: fc.Arbitrary<readonly Edit[]> = fc.array(
  fc.tuple(fc.constantFrom('set', 'insert', 'delete', 'copy'), fc.nat(4096), fc.nat(255)),
  { minLength: 1, maxLength: 12 },
);

function edited(seed: Uint8Array, changes: readonly Edit[]): Buffer {
  let bytes = Buffer.from(seed);
  for (const [kind, place, value] of changes) {
    const at = place % (bytes.length + 1);
    if (kind === 'set' && at < bytes.length) bytes[at] = value;
    else if (kind === 'insert')
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([value]), bytes.subarray(at)]);
    else if (kind === 'delete') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + (value % 8))]);
    else bytes = Buffer.concat([bytes, bytes.subarray(at, at + value)]);
  }
  return bytes;
}

/** It does not throw, and says the same however the bytes are cut: what it says in one chunk may not be what it hid in two. */
function isSteady(bytes: Uint8Array, chunk: number): void {
  const [whole, parts] = [scanBytes(bytes), scanBytes(bytes, chunk)];
  expect({ chunk, format: parts.format, rules: [...parts.rules].sort() }).toEqual({
    ...{ chunk, format: whole.format },
    rules: [...whole.rules].sort(),
  });
}

describe('the scan of hostile bytes', () => {
  it('neither throws nor depends on how they are cut, of anything', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 64 }), isSteady), {
      numRuns: RUNS,
    });
  });

  it.each(SEEDS.map((seed, at) => [at, seed] as const))(
    'neither throws nor depends on how they are cut, of seed %s with changes',
    (_, seed) => {
      fc.assert(
        fc.property(edits, fc.integer({ min: 1, max: 700 }), (changes, chunk) =>
          isSteady(edited(seed, changes), chunk),
        ),
        { numRuns: RUNS },
      );
    },
  );

  it('says of opcodes in any order what a loader would do, or that it is broken', () => {
    const opcode = fc.constantFrom(
      ...'(.012FGIJKLMNPQRSTUVX]abcdeghijlopqrstu})BC'.split('').map((op) => op.charCodeAt(0)),
      ...Array.from({ length: 25 }, (_, at) => 0x80 + at),
    );
    const part = fc.oneof(opcode, fc.nat(255), fc.constantFrom('os\nsystem\n', text('os'), text('system'), '(0'));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (parts, chunk) =>
        isSteady(pickle(PROTO4, ...parts), chunk),
      ),
      { numRuns: RUNS },
    );
  });

  it('throws nothing but MALFORMED of a SARIF log', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (log) => {
        try {
          expect(readSarif(Buffer.from(log)).verdict).not.toBe('clean');
        } catch (error) {
          expect((error as CustodyError).code).toBe('MALFORMED');
        }
      }),
      { numRuns: RUNS },
    );
  });

  it.each(readdirSync(CORPUS).filter((name) => name.endsWith('.hex')))(
    'does so of what was found before: %s',
    (name) => {
      const bytes = Buffer.from(readFileSync(join(CORPUS, name), 'utf8').trim(), 'hex');
      for (const chunk of [1, 2, 3, 5, 7, 16, 61]) isSteady(bytes, chunk);
    },
  );
});
