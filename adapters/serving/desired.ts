import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isDigest, type Digest } from '../../domain/digest.js';
import { isModelName, isVersion, type ReleaseName } from '../../domain/names.js';
import { checkShape, parseJson } from '../../formats/json.js';
import { absent, writeDurably } from '../durable.js';

export interface DesiredReplica extends ReleaseName {
  readonly release: Digest;
}

const schema = z.strictObject({
  mark: z.string().regex(/^[A-Za-z0-9_-]{32}$/),
  replicas: z.array(
    z.strictObject({
      model: z.string().refine(isModelName),
      version: z.string().refine(isVersion),
      release: z.string().refine(isDigest),
    }),
  ),
});

/** What this host is to run, on disk: it outlives the process. Names, not permissions: each is verified before it starts. */
export class DesiredState {
  readonly mark: string;
  readonly #file: string;
  readonly #replicas: Map<Digest, DesiredReplica>;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(file: string, mark: string, replicas: readonly DesiredReplica[]) {
    this.#file = file;
    this.mark = mark;
    this.#replicas = new Map(replicas.map((replica) => [replica.release, replica]));
  }

  static async open(file: string): Promise<DesiredState> {
    const text = await readFile(file).catch(absent);
    if (text !== null) {
      const { mark, replicas } = checkShape(schema, parseJson(text, file), file);
      return new DesiredState(file, mark, replicas);
    }
    const state = new DesiredState(file, randomBytes(24).toString('base64url'), []);
    await state.#write();
    return state;
  }

  get replicas(): readonly DesiredReplica[] {
    return [...this.#replicas.values()];
  }

  has(release: Digest): boolean {
    return this.#replicas.has(release);
  }

  async add(replica: DesiredReplica): Promise<void> {
    if (this.#replicas.has(replica.release)) return this.#settled();
    this.#replicas.set(replica.release, replica);
    await this.#write();
  }

  async remove(release: Digest): Promise<void> {
    if (!this.#replicas.delete(release)) return this.#settled();
    await this.#write();
  }

  async #settled(): Promise<void> {
    await this.#writing;
  }

  #write(): Promise<void> {
    const written = this.#writing.then(() =>
      writeDurably(this.#file, JSON.stringify({ mark: this.mark, replicas: this.replicas })),
    );
    this.#writing = written.catch(() => null);
    return written;
  }
}
