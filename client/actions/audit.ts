import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { exportLog, exportedBundles, folderTiles } from '../../adapters/audit/exported.js';
import { PublishedLog, type LogBundle } from '../../adapters/audit/published.js';
import { decodeRecord } from '../../adapters/audit/record.js';
import { CustodyError } from '../../domain/errors.js';
import { parseVerifierKeys } from '../../formats/signed-note.js';
import { TILE_WIDTH } from '../../formats/tlog-tiles.js';
import { decodeProof, encodeProof, verifyProof } from '../../formats/tlog-proof.js';
import { auditLog, logKeyOf, LongReading, readWhole } from '../audit.js';
import { interruption } from '../interruption.js';
import { answer, counted, faint, good, talk } from '../output.js';
import { fieldsOf, lineOf } from '../record-lines.js';
import { whileConnected, type ConnectedSession, type Session } from '../session.js';
import { signerOf } from '../signer.js';

interface VerifyOptions {
  readonly key?: string;
  readonly from?: string;
  readonly proof?: string;
  readonly logKey?: string;
}

export async function verifyLog(session: Session, { key, from, proof, logKey }: VerifyOptions): Promise<void> {
  const ways = [key, from, proof].filter((way) => way !== undefined).length;
  if (ways !== 1) throw new CustodyError('USAGE', 'name one of --key, --from and --proof');
  if (proof !== undefined) return checkProof(session, proof, logKeyOf(session, logKey));
  if (from !== undefined) {
    const log = await PublishedLog.open(folderTiles(from), logKeyOf(session, logKey));
    return checkWhole(session, log, exportedBundles(from, log));
  }
  return whileConnected(session, async (own) => {
    const log = await asked(own, key ?? '');
    return checkWhole(own, log, log.bundles());
  });
}

export async function listLog(session: ConnectedSession, options: { key: string; model?: string }): Promise<void> {
  const { records } = await readWhole(await asked(session, options.key));
  const wanted = records.filter(({ subject }) => options.model === undefined || subject.model === options.model);
  answer(session, wanted, wanted.map(lineOf));
}

export async function showRecord(session: ConnectedSession, given: string, { key }: { key: string }): Promise<void> {
  const log = await asked(session, key);
  const { index, entry } = await log.prove(indexOf(given));
  const record = decodeRecord(entry, index);
  const { size, root } = log.checkpoint;
  answer(session, { index, record, size, root }, [
    ...fieldsOf(record),
    good(`record ${index} of ${size}: proved by root ${root}`),
  ]);
}

export async function proveRecord(session: ConnectedSession, given: string, { key }: { key: string }): Promise<void> {
  const proof = await (await asked(session, key)).prove(indexOf(given));
  const text = encodeProof(proof);
  answer(session, { index: proof.index, proof: text }, [text.trimEnd()]);
}

export async function takeLogAlong(session: ConnectedSession, folder: string, { key }: { key: string }): Promise<void> {
  const log = await asked(session, key);
  const { vkey } = session.custody.description.audit;
  const { size, root } = await exportLog(log, folder, vkey);
  answer(session, { folder, size, root, vkey }, [
    good(`${counted(size, 'record')}, root ${root}, verified in ${folder}`),
    faint(`who checks it needs the log's key from you, not from the folder: ${vkey}`),
  ]);
}

const EVERY_MS = 1_000;

/** The last records, and with `--follow` those that come: each proved by the checkpoint of its time. */
export async function tailLog(
  session: ConnectedSession,
  { key, lines, follow }: { key: string; lines: string; follow?: true },
): Promise<void> {
  const count = indexOf(lines);
  const signal = interruption();
  const reading = await LongReading.begin(() => asked(session, key));
  let next = Math.max(0, reading.log.checkpoint.size - count);
  for (;;) {
    for (; next < reading.log.checkpoint.size; next += 1) {
      const index = next;
      const { entry } = await reading.read((log) => log.prove(index));
      const record = decodeRecord(entry, index);
      process.stdout.write(`${session.json ? JSON.stringify({ index, record }) : lineOf(record)}\n`);
    }
    if (follow !== true) return;
    await setTimeout(EVERY_MS, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (signal.aborted) return;
    await reading.renew();
  }
}

async function asked(session: ConnectedSession, key: string): Promise<PublishedLog> {
  return auditLog(session.custody, await signerOf(session, key));
}

const SAID_EVERY = 400 * TILE_WIDTH;

async function checkWhole(session: Session, log: PublishedLog, bundles: AsyncIterable<LogBundle>): Promise<void> {
  for await (const { first } of bundles) if (first > 0 && first % SAID_EVERY === 0) talk(faint(`${first} records …`));
  const { size, root } = log.checkpoint;
  answer(session, { size, root }, [good(`the log holds: ${counted(size, 'record')}, root ${root}`)]);
}

function checkProof(session: Session, file: string, vkey: string): void {
  const proof = decodeProof(readFileSync(file));
  const { size, root } = verifyProof(proof, parseVerifierKeys(vkey));
  const record = decodeRecord(proof.entry, proof.index);
  answer(session, { index: proof.index, record, size, root }, [
    lineOf(record),
    good(`it is record ${proof.index} of the log of ${size}, root ${root}`),
  ]);
}

function indexOf(given: string): number {
  if (!/^(0|[1-9]\d{0,14})$/.test(given)) throw new CustodyError('USAGE', `${given} is not a number from 0 on`);
  return Number(given);
}
