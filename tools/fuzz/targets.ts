import { CustodyError } from '../../domain/errors.js';
import { PREDICATES, type PredicateName } from '../../domain/statements.js';
import { decodeBase64 } from '../../formats/base64.js';
import { openCheckpoint } from '../../formats/checkpoint.js';
import { readCommandOutput } from '../../formats/command-output.js';
import { parseEnvelope } from '../../formats/dsse.js';
import { readContent } from '../../formats/file-facts.js';
import { parseStatement } from '../../formats/in-toto.js';
import { lookThroughJson, parseJson } from '../../formats/json.js';
import { importPrivateKey, importPublicKey, type SignatureVerifier } from '../../formats/keys.js';
import { parseLabelledData } from '../../formats/labelled-data.js';
import { parseManifest } from '../../formats/manifest.js';
import { verifyOms } from '../../formats/oms.js';
import { readChat } from '../../formats/openai-chat.js';
import { parsePolicyYaml } from '../../formats/policy.js';
import { predicateSchema } from '../../formats/predicates.js';
import { readProvenance } from '../../formats/provenance.js';
import { parseFacts } from '../../formats/release-facts.js';
import { parseRiskAssessment } from '../../formats/risk-assessment.js';
import { readSafetensorsHeader } from '../../formats/safetensors.js';
import { ArtifactScan, Findings } from '../../formats/scan/artifact.js';
import { parseScanLine } from '../../formats/scan/report.js';
import { readSarif } from '../../formats/scan/sarif.js';
import { findDirectory, TAIL_BYTES } from '../../formats/scan/zip-directory.js';
import { sha256 } from '../../formats/sha256.js';
import { importSshKey, importSshKeyOfPrivate, type SshPublicKey } from '../../formats/ssh-keys.js';
import { parseVerifierKeys, type LogVerifier } from '../../formats/signed-note.js';
import { dearmor, isSshSignature } from '../../formats/sshsig.js';
import { decryptStream } from '../../formats/streaming-aead.js';
import { parseSuite } from '../../formats/suite.js';
import { decodeBundle, hashesOfTile, parseIndexPath, parseTilePath } from '../../formats/tlog-tiles.js';

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
