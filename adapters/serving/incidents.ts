import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../domain/digest.js';
import { lifecycleId, type ReleaseName } from '../../domain/names.js';
import { isoTime } from '../../domain/time.js';
import { envelopeDigest, parseEnvelope } from '../../formats/dsse.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { signStatement } from '../../formats/statements.js';
import { absent, syncFolder, writeDurably } from '../durable.js';
import type { ServingDeps } from './ports.js';

const MAX_REASON = 2000;
const SUFFIX = '.json';

/**
 * Refused loads on their way to the audit log. Each is signed and on disk before anything else happens, and leaves the
 * spool only when control has said that it is in the log: a crash anywhere delivers it again.
 */
export class IncidentSpool {
  readonly #deps: Pick<ServingDeps, 'records' | 'report' | 'key' | 'log'>;
  readonly #folder: string;
  #delivering: Promise<void> | null = null;

  private constructor(deps: Pick<ServingDeps, 'records' | 'report' | 'key' | 'log'>, folder: string) {
    this.#deps = deps;
    this.#folder = folder;
  }

  static async open(
    deps: Pick<ServingDeps, 'records' | 'report' | 'key' | 'log'>,
    folder: string,
  ): Promise<IncidentSpool> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new IncidentSpool(deps, folder);
  }

  /** Answers once the incident is on disk. */
  async loadRefused(name: ReleaseName, release: Digest, reason: string): Promise<void> {
    const { records, key, log } = this.#deps;
    const issuedAt = isoTime(Date.now());
    const incident = signStatement(
      'incident',
      { name: lifecycleId(name), sha256: release },
      {
        environment: records.environment,
        model: name.model,
        version: name.version,
        kind: 'load.refused',
        nonce: randomBytes(24).toString('base64url'),
        reason: reason.slice(0, MAX_REASON),
        issuedAt,
      },
      [key],
    );
    const file = `${String(Date.parse(issuedAt)).padStart(15, '0')}-${envelopeDigest(incident)}${SUFFIX}`;
    await writeDurably(join(this.#folder, file), canonicalBytes(incident));
    log.error({ ...name, release, reason }, 'a load was refused');
    this.deliver().catch((error: unknown) => log.warn({ reason: String(error) }, 'the spool could not be read'));
  }

  /** Hands over what is in the spool, oldest first; what control does not take stays. Joins a delivery under way. */
  deliver(): Promise<void> {
    this.#delivering ??= this.#deliver().finally(() => {
      this.#delivering = null;
    });
    return this.#delivering;
  }

  async #deliver(): Promise<void> {
    const files = (await readdir(this.#folder)).filter((file) => file.endsWith(SUFFIX) && !file.startsWith('.'));
    for (const file of files.sort()) {
      const path = join(this.#folder, file);
      const text = await readFile(path).catch(absent);
      if (text === null) continue;
      try {
        await this.#deps.report(parseEnvelope(text));
      } catch (error) {
        this.#deps.log.warn(
          { file, reason: String(error) },
          'an incident could not be delivered and stays in the spool',
        );
        continue;
      }
      await rm(path);
      await syncFolder(this.#folder);
    }
  }
}
