import { setImmediate } from 'node:timers/promises';
import type { AuditRecord } from '../../domain/audit.js';
import { CustodyError } from '../../domain/errors.js';
import type { Checkpoint } from '../../formats/checkpoint.js';
import type { SigningKey } from '../../formats/keys.js';
import type { Bucket, Lock } from '../object-store/port.js';
import { Publisher } from './publisher.js';
import { encodeRecord } from './record.js';
import { Writer, type Submission } from './writer.js';

export interface AuditLog {
  /**
   * Appends records in this order and answers once the published checkpoint covers them. A record whose id is in the log
   * already is the same record: its first index is the answer. After an error the outcome is unknown: append again with
   * the same ids. MALFORMED: not a record, or too large; nothing of the call is appended.
   */
  append(records: readonly AuditRecord[]): Promise<{ index: number }[]>;
  /** What everything that was acknowledged lies under. */
  checkpoint(): Checkpoint;
  /** Waits for what was begun and leaves a locked copy of the last checkpoint. Nothing is appended afterwards. */
  close(): Promise<void>;
}

export interface AuditLogDeps {
  /** Versioned, with Object Lock. */
  readonly audit: Bucket;
  /** Unversioned, without. */
  readonly log: Bucket;
  /** Ed25519. */
  readonly key: SigningKey;
  /** The verifier key of `key`, and those before it: what `parseVerifierKeys` reads. */
  readonly vkey: string;
  /** How long what is written now stays. */
  readonly lock: () => Promise<Lock>;
}

interface Waiting {
  readonly submissions: readonly Submission[];
  readonly resolve: (answer: { index: number }[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Opens the log for appending, and finishes what an earlier writer had begun. Several writers may be open at once: each
 * batch has one place, so they only slow each other down. LOG_INVALID when the batches are not what was signed.
 */
export async function openAuditLog(deps: AuditLogDeps): Promise<AuditLog> {
  const publisher = new Publisher(deps);
  const writer = await Writer.open({ ...deps, lastSigned: () => publisher.lastSigned() });
  await writer.catchUp();
  await publisher.publish(writer);
  return new GroupCommit(writer, publisher);
}

/** One append at a time; whoever comes meanwhile shares the next. */
class GroupCommit implements AuditLog {
  private readonly writer: Writer;
  private readonly publisher: Publisher;
  private queue: Waiting[] = [];
  private running: Promise<void> | null = null;
  private closed = false;

  constructor(writer: Writer, publisher: Publisher) {
    this.writer = writer;
    this.publisher = publisher;
  }

  checkpoint(): Checkpoint {
    return this.publisher.checkpoint();
  }

  async append(records: readonly AuditRecord[]): Promise<{ index: number }[]> {
    if (this.closed) throw new CustodyError('INTERNAL', 'the audit log is closed');
    const submissions = records.map((record) => ({ id: record.id, entry: encodeRecord(record) }));
    return new Promise((resolve, reject) => {
      this.queue.push({ submissions, resolve, reject });
      this.running ??= this.drain();
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.running;
    await this.publisher.close();
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0) {
      // Whoever comes in the same turn, such as all who were just answered, goes with them.
      await setImmediate();
      const group = this.queue.splice(0);
      try {
        await this.commit(group.flatMap(({ submissions }) => submissions));
        for (const { submissions, resolve } of group)
          resolve(submissions.map(({ id }) => ({ index: this.writer.indexOf(id) })));
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.running = null;
  }

  /** After an error the store may hold more than is known here: the next claim fails on it, and takes it in. */
  private async commit(submissions: readonly Submission[]): Promise<void> {
    await this.writer.write(submissions);
    await this.publisher.publish(this.writer);
  }
}
