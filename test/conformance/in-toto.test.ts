import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect, describe, test } from 'vitest';
import { shippedProvenance } from '../../examples/digits/ship.js';
import { createWorld, type Signed } from '../support/world.js';

const python = process.env['CUSTODY_PYTHON'];

test.runIf(python === undefined && process.env['CI'] !== undefined)(
  'CUSTODY_PYTHON names a python with in-toto-attestation',
  () => {
    expect.fail('CUSTODY_PYTHON is not set: run through npm test, which installs in-toto-attestation and sets it');
  },
);

/** Reads a statement as its protocol buffers define it, no unknown member allowed, validates it, and writes it again. */
const SCRIPT = `
import sys
from google.protobuf import json_format
from in_toto_attestation.v1 import statement, statement_pb2
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2

KINDS = {
    "https://slsa.dev/provenance/v1": provenance_pb2.Provenance,
    "https://in-toto.io/attestation/test-result/v0.1": test_result_pb2.TestResult,
}
found = json_format.Parse(sys.stdin.read(), statement_pb2.Statement())
statement.Statement.copy_from_pb(found).validate()
predicate = KINDS[found.predicate_type]()
json_format.ParseDict(json_format.MessageToDict(found.predicate), predicate)
sys.stdout.write(json_format.MessageToJson(predicate))
`;

/** What the reference implementation reads in a statement; `null` where it refuses it. */
function readByThem(statement: string): Promise<unknown> {
  return new Promise((resolve) => {
    const child = execFile(python ?? '', ['-c', SCRIPT], (error, stdout) => {
      resolve(error === null ? (JSON.parse(stdout) as unknown) : null);
    });
    child.stdin?.end(statement);
  });
}

const payloadOf = ({ envelope }: Signed<unknown>): string => Buffer.from(envelope.payload, 'base64').toString('utf8');

/** Protocol buffers write no empty list, and times without trailing zeros: what a reader gets is the same. */
function normalised(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each: unknown) => (Array.isArray(each) && each.length === 0 ? undefined : each)),
    (_, each: unknown) => (typeof each === 'string' && /^\d{4}-\d\d-\d\dT/.test(each) ? Date.parse(each) : each),
  );
}

describe.skipIf(python === undefined)('in-toto-attestation 0.9.3', () => {
  const release = createWorld().release();

  test.each([
    ['the provenance of a release', payloadOf(release.provenance)],
    ['a test result', payloadOf(release.testResult)],
  ])('reads %s as we wrote it', async (_, payload) => {
    const { predicate } = JSON.parse(payload) as { predicate: unknown };
    expect(normalised(await readByThem(payload))).toEqual(normalised(predicate));
  });

  test('reads the provenance of a shipped release', async () => {
    const text = await readFile(shippedProvenance('1.0.0'), 'utf8');
    const { predicate } = JSON.parse(text) as { predicate: unknown };
    expect(normalised(await readByThem(text))).toEqual(normalised(predicate));
  });

  test.each([
    ['a member that the predicate does not have', (text: string) => text.replace('"passedTests"', '"passed"')],
    ['no subject', (text: string) => text.replace(/"subject":\[.*?\]/, '"subject":[]')],
    ['a result that is a number', (text: string) => text.replace('"PASSED"', '1')],
  ])('attack: refuses %s, so that the tests above can fail', async (_, change) => {
    const payload = payloadOf(release.testResult);
    const changed = change(payload);
    expect(changed).not.toBe(payload);
    expect(await readByThem(changed)).toBeNull();
  });
});
