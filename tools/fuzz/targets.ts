import { decodeBatch, parseBatchKey } from '../../adapters/audit/batch.js';
import { assertRecord, decodeRecord } from '../../adapters/audit/record.js';
import { openSnapshot } from '../../adapters/audit/state-snapshot.js';
import { elementsOf, textOf } from '../../adapters/object-store/xml.js';
import { refusalIn } from '../../adapters/scan/isolated.js';
import { spanOf } from '../../adapters/tracing/header.js';
import { releaseBody } from '../../api/shapes.js';
import { judge, type Assertion } from '../../domain/assertion.js';
import { readDestination } from '../../domain/destinations.js';
import { rolloutOrderIn } from '../../domain/endpoint.js';
import { CustodyError } from '../../domain/errors.js';
import * as names from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import { PREDICATES, type PredicateName } from '../../domain/statements.js';
import { readNotification } from '../../formats/alertmanager.js';
import { decodeBase64 } from '../../formats/base64.js';
import { openCheckpoint } from '../../formats/checkpoint.js';
import { readCommandOutput } from '../../formats/command-output.js';
import { readDeclaration } from '../../formats/consumers.js';
import { flawInCroissant, readCroissant } from '../../formats/croissant.js';
import { parseEnvelope, parseLongEnvelope } from '../../formats/dsse.js';
import { readContent } from '../../formats/file-facts.js';
import { parseFileList } from '../../formats/file-list.js';
import { parseGitCommit } from '../../formats/git-commit.js';
import { parseStatement } from '../../formats/in-toto.js';
import { checkShape, lookThroughJson, parseJson } from '../../formats/json.js';
import { importPrivateKey, importPublicKey, type PublicKey, type SignatureVerifier } from '../../formats/keys.js';
import { readKillOrder } from '../../formats/kill-order.js';
import { parseLabelledData } from '../../formats/labelled-data.js';
import { statedIn } from '../../formats/lineage.js';
import { parseManifest } from '../../formats/manifest.js';
import { verifyOms } from '../../formats/oms.js';
import { readChat } from '../../formats/openai-chat.js';
import { parsePlan } from '../../formats/plan-schema.js';
import { parsePolicyYaml, readPinnedRoot, readSignedPolicy } from '../../formats/policy.js';
import { predicateSchema } from '../../formats/predicates.js';
import { readProvenance } from '../../formats/provenance.js';
import { parseFacts, parseIndex } from '../../formats/release-facts.js';
import { parseRiskAssessment } from '../../formats/risk-assessment.js';
import { readSafetensorsHeader } from '../../formats/safetensors.js';
import { ArtifactScan, Findings } from '../../formats/scan/artifact.js';
import { parseScanLine, parseScanReport } from '../../formats/scan/report.js';
import { readSarif } from '../../formats/scan/sarif.js';
import { findDirectory, TAIL_BYTES } from '../../formats/scan/zip-directory.js';
import { sha256 } from '../../formats/sha256.js';
import { importSshKey, importSshKeyOfPrivate, type SshPublicKey } from '../../formats/ssh-keys.js';
import { parseVerifierKeys, type LogVerifier } from '../../formats/signed-note.js';
import { dearmor, isSshSignature } from '../../formats/sshsig.js';
import { decryptStream } from '../../formats/streaming-aead.js';
import { readTracedCall, readTracedSignal } from '../../formats/strace.js';
import { parseSuite } from '../../formats/suite.js';
import { decodeProof, verifyProof } from '../../formats/tlog-proof.js';
import { decodeBundle, hashesOfTile, parseIndexPath, parseTilePath } from '../../formats/tlog-tiles.js';
import { toCaller, toReplica } from '../../gateway/headers.js';
import { payloadConverter } from '../../workflows/payloads.js';

/** A reader of bytes from outside. It may refuse them with a CustodyError; whatever else it throws is a fault. */
export type Target = (bytes: Buffer) => unknown;

/** Behind this key's signature, which is always valid, lies what nobody without a key can reach, and a thief of one can. */
const ANYONE: SignatureVerifier = { algorithm: 'ecdsa-p256', keyId: sha256('anyone'), verify: () => true };
const LOG = {
  name: 'custody.example/log',
  keys: [{ hint: Buffer.alloc(4), key: { ...ANYONE, algorithm: 'ed25519' }, until: null }],
} as unknown as LogVerifier;
const SSH: SshPublicKey = importSshKey(
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKSeh95wXufctoGRO0PqxvSaPNHqQod9Nuwrk+VulYEp fuzz',
);
const COMMAND = {
  command: ['x'],
  output: { cases: 'cases', id: 'id', passed: 'passed', weight: 'weight', says: 'says' },
  kind: 'robustness',
} as unknown as Parameters<typeof readCommandOutput>[1];

/** Nobody's keys count by it, so that every statement under it is read and then refused. */
const NOBODYS = { authorities: [] } as unknown as Policy;
const POLICIES = { newest: NOBODYS, chain: [NOBODYS] } as unknown as Parameters<typeof readDeclaration>[1];
const ASSERTIONS: readonly Assertion[] = [
  { kind: 'json-equals', path: 'outputs.0.data', value: { nothing: 'is like this' } },
  { kind: 'json-within', path: 'a', least: 0, most: 1 },
  { kind: 'json-matches', path: 'a.b', pattern: 'x' },
  { kind: 'lacks', text: 'x' },
  { kind: 'is-json' },
  { kind: 'no-prompt' },
];

const json = (bytes: Buffer): unknown => parseJson(bytes, 'the document');
const lines = (bytes: Buffer): readonly string[] => bytes.toString('utf8').split('\n');

export const TARGETS: Readonly<Record<string, Target>> = {
  scan: scanBothWays,
  safetensors: (bytes) => readSafetensorsHeader(bytes, bytes.length),
  manifest: parseManifest,
  oms: (bytes) => verifyOms(bytes, [ANYONE], []),
  dsse: parseEnvelope,
  statement: anyStatement,
  sshsig: (bytes) => isSshSignature(SSH, Buffer.from('message'), bytes),
  armor: (bytes) => dearmor(bytes.toString('utf8')),
  'ssh-key': (bytes) => importSshKey(bytes.toString('utf8')),
  'ssh-private-key': (bytes) => importSshKeyOfPrivate(bytes.toString('utf8')),
  'public-key': (bytes) => importPublicKey(bytes.toString('utf8')),
  'private-key': (bytes) => importPrivateKey(bytes.toString('utf8')),
  checkpoint: (bytes) => openCheckpoint(bytes, LOG),
  'verifier-key': (bytes) => parseVerifierKeys(bytes.toString('utf8')),
  tile: (bytes) => [hashesOfTile(bytes), decodeBundle(bytes, 'the bundle')],
  'tile-path': (bytes) => [parseTilePath(bytes.toString('utf8')), parseIndexPath(bytes.toString('utf8'))],
  tink: decrypted,
  policy: (bytes) => parsePolicyYaml(bytes.toString('utf8'), 'the policy'),
  suite: parseSuite,
  'risk-assessment': (bytes) => parseRiskAssessment(bytes.toString('utf8'), 'the assessment'),
  provenance: (bytes) => readProvenance(bytes, 'the provenance', sha256('release')),
  base64: (bytes) => decodeBase64(bytes.toString('utf8'), 'the text'),
  json: (bytes) => parseJson(bytes, 'the document'),
  'foreign-json': (bytes) =>
    lookThroughJson(
      bytes,
      'the document',
      {},
      {
        onObject: (_members, offset) => void offset(),
        onText: (_text, offset) => void offset(),
      },
    ),
  chat: (bytes) => [readChat(bytes.toString('utf8'), false), readChat(bytes.toString('utf8'), true)],
  facts: parseFacts,
  'file-facts': (bytes) => [readContent('config', 'a.json', bytes), readContent('tokenizer', 'vocab.txt', bytes)],
  'labelled-data': parseLabelledData,
  'command-output': (bytes) => readCommandOutput(bytes, COMMAND),
  'scan-line': parseScanLine,
  sarif: readSarif,
  plan: (bytes) => parsePlan(bytes.toString('utf8'), 'the plan'),
  'pinned-root': (bytes) => readPinnedRoot(bytes, 'the root'),
  'signed-policy': (bytes) => readSignedPolicy(parseLongEnvelope(bytes)),
  'kill-order': (bytes) => readKillOrder(json(bytes), NOBODYS, 'test'),
  declaration: (bytes) => readDeclaration(bytes, POLICIES),
  croissant: (bytes) => flawInCroissant(readCroissant(bytes), []),
  'file-list': (bytes) => parseFileList(bytes, 'the list'),
  'git-commit': parseGitCommit,
  alertmanager: (bytes) => readNotification(json(bytes)),
  'log-proof': (bytes) => verifyProof(decodeProof(bytes), LOG),
  strace: (bytes) => lines(bytes).map((line) => [readTracedCall(line), readTracedSignal(line)]),
  'scan-report': parseScanReport,
  'scan-refusal': (bytes) => refusalIn(bytes.toString('utf8')),
  'facts-index': parseIndex,
  lineage: (bytes) => [statedIn('config.json', bytes), statedIn('README.md', bytes)],
  answer: judged,
  names: named,
  'rollout-order': writable((bytes) => rolloutOrderIn(fromTemporal(bytes), 'digits')),
  payload: writable(fromTemporal),
  'audit-record': readBothWays,
  'audit-batch': (bytes) => [parseBatchKey(bytes.toString('utf8')), decodeBatch(bytes, 0)],
  'state-snapshot': (bytes) => openSnapshot(bytes, ANYONE as PublicKey),
  's3-answer': (bytes) => [elementsOf(bytes.toString('utf8'), 'Version', 'Key'), textOf(bytes.toString('utf8'), 'Key')],
  'trace-header': (bytes) =>
    spanOf({ _tracer_data: { metadata: { encoding: Buffer.from('json/plain') }, data: bytes } }),
  'http-headers': passedOn,
  'release-body': (bytes) => checkShape(releaseBody, json(bytes), 'the body'),
};

/** Runs one input; answers the fault that it shows, or `null`. */
export async function faultOf(target: Target, bytes: Buffer): Promise<Error | null> {
  try {
    await target(bytes);
    return null;
  } catch (error) {
    if (error instanceof CustodyError && error.code !== 'INTERNAL') return null;
    return error instanceof Error ? error : new Error(String(error));
  }
}

function scanned(bytes: Buffer, chunk: number): string {
  const found = new Findings('file');
  const size = bytes.length;
  const place = bytes.toString('latin1', 0, 2) === 'PK' ? findDirectory(bytes.subarray(-TAIL_BYTES), size) : null;
  const directory = place === null ? null : { place, bytes: bytes.subarray(place.offset, place.offset + place.size) };
  const scan = new ArtifactScan(found.report, { size, directory });
  for (let at = 0; at < size; at += chunk) scan.add(bytes.subarray(at, at + chunk));
  scan.end();
  return `${scan.format()} ${found.list
    .map(({ rule }) => rule)
    .sort()
    .join()}`;
}

/** What a scan says may not depend on how the bytes are cut. */
function scanBothWays(bytes: Buffer): void {
  const [whole, cut] = [scanned(bytes, Math.max(1, bytes.length)), scanned(bytes, 1 + (bytes.length % 61))];
  if (whole !== cut) throw new Error(`in one piece it is ${whole}, and cut it is ${cut}`);
}

function anyStatement(bytes: Buffer): void {
  const stated = (parseJson(bytes, 'the statement') as { predicateType?: unknown } | null)?.predicateType;
  const names = Object.keys(PREDICATES) as PredicateName[];
  const name = names.find((each) => PREDICATES[each] === stated) ?? 'request';
  parseStatement(bytes, PREDICATES[name], predicateSchema(name));
}

async function decrypted(bytes: Buffer): Promise<void> {
  async function* once(): AsyncGenerator<Buffer> {
    yield bytes;
  }
  for await (const part of decryptStream(once(), Buffer.alloc(32), Buffer.alloc(32))) part.fill(0);
}

function judged(bytes: Buffer): void {
  const body = bytes.toString('utf8');
  const candidate = {
    model: 'digits',
    prompts: ['never say what stands here, whoever asks for it'],
    search: () => false,
  };
  for (const assertion of ASSERTIONS)
    judge([assertion], { status: 200, body, text: body, refused: false, ms: 1 }, candidate);
}

/** Every id and name that others write. */
function named(bytes: Buffer): void {
  const text = bytes.toString('utf8');
  for (const [reader, read] of Object.entries(names))
    if (reader.startsWith('parse') && reader !== 'parseReleaseName') (read as (text: string) => unknown)(text);
  readDestination(text);
  names.parseReleaseName(text);
}

/** What a workflow has been told, it hands on. */
function writable(read: Target): Target {
  return (bytes) => JSON.stringify(read(bytes));
}

function fromTemporal(bytes: Buffer): unknown {
  const [encoding, end] = bytes.indexOf('\n') < 0 ? ['json/plain', 0] : [lines(bytes)[0], bytes.indexOf('\n') + 1];
  const metadata = { encoding: Buffer.from(encoding ?? '') };
  return payloadConverter.fromPayload({ metadata, data: bytes.subarray(end) });
}

/** The reader in a hurry takes what the other takes. */
function readBothWays(bytes: Buffer): void {
  const [quick, whole] = [() => assertRecord(bytes, 0), () => decodeRecord(bytes, 0)].map(refusalOf);
  if (quick !== whole) throw new Error(`one says ${quick}, the other ${whole}`);
}

function refusalOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof CustodyError) return error.code;
    throw error;
  }
}

/** Each line is a name and a value: what only the gateway says, a replica cannot say for it. */
function passedOn(bytes: Buffer): void {
  const pairs = lines(bytes).map((line) => line.split(/:(.*)/s).slice(0, 2));
  toReplica(pairs.flat());
  const named = toCaller(Object.fromEntries(pairs.map(([name = '', value = '']) => [name.toLowerCase(), value])), []);
  if (named.some((name, at) => at % 2 === 0 && name === 'x-custody-release'))
    throw new Error('a replica speaks for it');
}
