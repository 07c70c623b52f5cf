import { CustodyError } from '../../domain/errors.js';
import { signCheckpoint, type Checkpoint } from '../../formats/checkpoint.js';
import { parseVerifierKeys, type LogVerifier } from '../../formats/signed-note.js';
import { TILE_WIDTH } from '../../formats/tlog-tiles.js';
import { CHECKPOINT, lockedCheckpoints, lockedKey, readPublished, type Published } from './checkpoints.js';
import { invalidFrom } from './invalid.js';
import type { AuditLogDeps } from './log.js';
import type { Writer } from './writer.js';

/** A locked copy is at most this much older than the checkpoint, once something is appended, whatever the clock does. */
const COPY_AFTER_MS = 60_000;

/** Signs and publishes the checkpoint: it only grows, and never covers what is not claimed and derived. */
export class Publisher {
  private readonly deps: AuditLogDeps;
  private readonly verifier: LogVerifier;
  private published: Published | null = null;
  /** Waits for the copy that is being made. */
  private copying: () => Promise<void> = async () => undefined;
  private copied = { size: -1, at: -Infinity };

  constructor(deps: AuditLogDeps) {
    this.deps = deps;
    this.verifier = parseVerifierKeys(deps.vkey);
  }

  checkpoint(): Checkpoint {
    const checkpoint = this.published?.checkpoint ?? null;
    if (checkpoint === null) throw new CustodyError('INTERNAL', 'no checkpoint was published yet');
    return checkpoint;
  }

  /** The last that was signed, as the store has it: the checkpoint, or the last locked copy where that is larger. */
  async lastSigned(): Promise<Checkpoint | null> {
    this.published = await readPublished(this.deps.log, this.verifier);
    let signed = this.published.checkpoint;
    for await (const copy of lockedCheckpoints(this.deps.audit, this.verifier, signed?.size)) signed = copy;
    return signed;
  }

  /** After this the published checkpoint covers everything the writer has. */
  async publish(writer: Writer): Promise<void> {
    await writer.derive();
    const checkpoint = { origin: this.verifier.name, size: writer.size, root: writer.root().toString('hex') };
    const note = signCheckpoint(checkpoint, this.deps.key);
    while (!this.covers(checkpoint)) {
      const etag = this.published?.etag ?? null;
      const replaced = await this.deps.log.compareAndSet(CHECKPOINT, note, etag);
      this.published =
        replaced === null
          ? await readPublished(this.deps.log, this.verifier)
          : { checkpoint, note, etag: replaced.etag };
    }
    await this.copying();
    if (!this.isCopyDue()) return;
    // Nobody waits for it: it comes after its checkpoint, and the next who publishes, or closes, hears of what went wrong.
    const copying = this.keepCopy();
    copying.catch(() => undefined);
    this.copying = async () => {
      this.copying = async () => undefined;
      await copying;
    };
  }

  /** Leaves a locked copy of the last checkpoint. */
  async close(): Promise<void> {
    await this.copying();
    await this.keepCopy();
  }

  /** When a bundle has become full, and when the last is a minute old. */
  private isCopyDue(): boolean {
    const { size } = this.checkpoint();
    return (
      Math.floor(size / TILE_WIDTH) > Math.floor(this.copied.size / TILE_WIDTH) ||
      performance.now() - this.copied.at > COPY_AFTER_MS
    );
  }

  private async keepCopy(): Promise<void> {
    const { size } = this.checkpoint();
    if (size === this.copied.size) return;
    const note = this.published?.note ?? Buffer.alloc(0);
    await this.deps.audit.createOnce(lockedKey(size), note, await this.deps.lock());
    this.copied = { size, at: performance.now() };
  }

  private covers({ size, root }: Checkpoint): boolean {
    const there = this.published?.checkpoint ?? null;
    if (there === null || there.size < size) return false;
    if (there.size === size && there.root !== root)
      throw invalidFrom(0, `two logs of ${size} entries were signed: their roots are ${there.root} and ${root}`);
    return true;
  }
}
