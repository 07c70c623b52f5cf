import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeRecord, encodeRecord } from '../adapters/audit/record.js';
import { encodeSnapshot, openSnapshot } from '../adapters/audit/state-snapshot.js';
import { CHANGES, type AuditRecord } from '../domain/audit.js';
import { StateIndex, type StateAt } from '../domain/state.js';
import { isoTime } from '../domain/time.js';
import { canonicalBytes } from '../formats/jcs.js';
import { generateKey, importPrivateKey } from '../formats/keys.js';
import { sha256 } from '../formats/sha256.js';
import { median, round, say, timed } from './measure.js';

/**
 * What a model, and a fleet of 2,000 of them with 20 versions each, was at a time: hot, and from a cold start of a process with a
 * signed snapshot of half a million records, beside reading all of them again. Usage: state [records]
 */
const [, , first, kind, folder, count] = process.argv;
const COUNT = Number((first === '--cold' ? count : first) ?? 500_000);
const [MODELS, VERSIONS] = [2_000, 20];
const FIRST = Date.parse('2026-01-01T00:00:00.000Z');
const KINDS = CHANGES.filter((change) => change !== 'log.read' && change !== 'message.refused');
const EVERY_MS = 10_000;

const digests = Array.from({ length: 4_096 }, (_, at) => sha256(String(at)));
const digest = (at: number): string => digests[(at + digests.length) % digests.length] ?? '';

function record(at: number): AuditRecord {
  const change = at % 4 === 0 ? 'route.changed' : (KINDS[at % KINDS.length] ?? 'release.signed');
  const model = `model-${(at * 7919) % MODELS}`;
  const version = change.startsWith('release.') ? `1.${(at * 31) % VERSIONS}.0` : null;
  return {
    id: sha256(`record ${at}`),
    time: isoTime(FIRST + at * EVERY_MS),
    actor: { id: 'control', statement: digest(at) },
    change,
    subject: { model, version, release: version === null ? null : digest(at * 3) },
    before: digest(at - 1),
    after: digest(at),
    policy: digest(1),
    workflow: { id: `endpoint/${model}`, runId: 'run' },
    reason: 'as agreed',
  };
}

/** Half of the way, which no state at the end knows of. */
const AT = isoTime(FIRST + (COUNT / 2) * EVERY_MS);
const said = (state: StateAt): string => sha256(canonicalBytes(state));

/** In a process of its own: what it takes from its first instruction on. */
function cold(kind: string, folder: string): void {
  const key = importPrivateKey(readFileSync(join(folder, 'key.pem'), 'utf8'));
  const startedAt = performance.now();
  const index =
    kind === 'snapshot' ? new StateIndex(openSnapshot(readFileSync(join(folder, 'states')), key)) : replay(folder);
  const state = index.at('model-17', AT);
  const ms = performance.now() - startedAt;
  process.stdout.write(
    JSON.stringify({ ms, state: said(state), fleet: sha256(canonicalBytes(index.fleetAt(AT).map(said).sort())) }),
  );
}

function replay(folder: string): StateIndex {
  const entries = readFileSync(join(folder, 'entries'));
  const index = new StateIndex();
  for (let from = 0, at = 0; from < entries.length; at += 1) {
    const end = from + 4 + entries.readUInt32BE(from);
    index.add({ index: at, record: decodeRecord(entries.subarray(from + 4, end), at) });
    from = end;
  }
  return index;
}

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'custody-bench-state-'));
  try {
    const pem = generateKey('ed25519').privatePem;
    writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 });
    const entries: Buffer[] = [];
    const index = new StateIndex();
    for (let at = 0; at < COUNT; at += 1) {
      const made = record(at);
      const entry = encodeRecord(made);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(entry.length);
      entries.push(length, entry);
      index.add({ index: at, record: made });
    }
    writeFileSync(join(folder, 'entries'), Buffer.concat(entries));
    const snapshot = encodeSnapshot(index, Buffer.alloc(0), digest(0), importPrivateKey(pem));
    writeFileSync(join(folder, 'states'), snapshot);

    const times = Array.from({ length: 1_000 }, (_, at) =>
      isoTime(FIRST + ((at * 37) % 1_000) * (COUNT / 1_000) * EVERY_MS),
    );
    index.fleetAt(isoTime(FIRST + COUNT * EVERY_MS));
    const points = Array.from({ length: 21 }, () => {
      const startedAt = performance.now();
      for (const [at, time] of times.entries()) index.at(`model-${at}`, time);
      return ((performance.now() - startedAt) * 1000) / times.length;
    });
    const fleets = times.slice(0, 101).map((time) => {
      const startedAt = performance.now();
      index.fleetAt(time);
      return performance.now() - startedAt;
    });
    say({ hot: { models: MODELS, oneMicroseconds: median(points), fleetMilliseconds: median(fleets) } });

    const runs: Record<string, number[]> = { snapshot: [], replay: [] };
    const answers = new Set<string>();
    const peakRssMib: Record<string, number> = {};
    for (let turn = 0; turn < 5; turn += 1)
      for (const kind of ['snapshot', 'replay']) {
        const run = await timed(process.execPath, [
          fileURLToPath(import.meta.url),
          '--cold',
          kind,
          folder,
          String(COUNT),
        ]);
        const { ms, ...same } = JSON.parse(run.stdout) as { ms: number };
        answers.add(JSON.stringify(same));
        runs[kind]?.push(ms);
        peakRssMib[kind] = Math.max(peakRssMib[kind] ?? 0, run.peakRssMib);
      }
    if (answers.size !== 1) throw new Error('the snapshot says something else than the records');
    const [fast, slow] = [median(runs['snapshot'] ?? []), median(runs['replay'] ?? [])];
    const milliseconds = { snapshot: fast, replay: slow };
    say({ cold: { records: COUNT, milliseconds, peakRssMib, ratio: round(slow / fast) } });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (first === '--cold') cold(kind ?? '', folder ?? '');
else await measure();
