import { expect } from 'vitest';
import { endpointStatus, lifecycleStatus, requestOf } from '../../../client/messages.js';
import { decide } from '../../../client/requests.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { lifecycleId } from '../../../domain/names.js';
import { startLoad, type Load } from '../../../examples/digits/load.js';
import { generateKey, importPrivateKey } from '../../../formats/keys.js';
import { FIRST, MODEL, type Bench, type Ended } from '../../e2e/harness.js';
import { until } from '../../e2e/support/until.js';

/** Gets its releases while the other endpoint is stopped and restored. */
export const MOVING = 'letters';
const PATIENCE_SECONDS = 600;
const CALL_MS = 1_000;
/** For so long nobody is served before nobody is. */
const QUIET_MS = 1_000;
const MAX_SECONDS = 7_200;
/** These say what happened around a release, or how often it was looked at. */
const ASIDE: readonly string[] = ['message.refused', 'load.refused', 'service.breached'];

/**
 * Two endpoints with callers on one stack: the harness' own, which is killed and restored, and another that gets releases
 * meanwhile. Holds against the invariants what came to pass.
 */
export class Scene {
  readonly bench: Bench;
  readonly load: Load;
  /** Releases that people have agreed to, by digest. */
  readonly #agreed = new Set<string>();
  /** What the log says of a release that nothing happened to. */
  #undisturbed: readonly string[] = [];
  #count = 0;
  #kills = 0;
  #restores = 0;

  private constructor(bench: Bench) {
    this.bench = bench;
    const url = bench.stack.description.gateway.url;
    this.load = startLoad({ url, model: MOVING, ratePerSecond: 20, callers: 40, maxSeconds: MAX_SECONDS });
  }

  /** Both endpoints with a release in service. */
  static async of(bench: Bench): Promise<Scene> {
    const scene = new Scene(bench);
    await bench.putFirstInService();
    const { progress } = await lifecycleStatus(bench.custody, FIRST);
    scene.#agreed.add(progress.ingested?.release ?? '');
    // Of the first release of an endpoint the log says what it says of no other.
    await (await scene.begin()).inService();
    const second = await scene.begin();
    await second.inService();
    scene.#undisturbed = changesOf(await bench.log(), second.version);
    return scene;
  }

  async stop(): Promise<void> {
    await this.load.stop();
  }

  /** A further release on its way. Alice agrees to it as soon as she is asked, and before her somebody who is nobody. */
  async begin(): Promise<OnItsWay> {
    const version = `1.0.${(this.#count += 1)}`;
    const source = await this.bench.source(version, { model: MOVING });
    await this.bench.start(source);
    this.#agreed.add(source.release);
    return new OnItsWay(this, version);
  }

  /** What callers of the killed endpoint are answered; `null`: nothing. */
  async called(): Promise<number | null> {
    try {
      const url = new URL(`/v2/models/${MODEL}/infer`, this.bench.stack.description.gateway.url);
      const data = Array.from({ length: 64 }, () => 0);
      const answer = await fetch(url, {
        ...{ method: 'POST', headers: { 'content-type': 'application/json' }, signal: AbortSignal.timeout(CALL_MS) },
        body: JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] }),
      });
      await answer.arrayBuffer();
      return answer.status;
    } catch (error) {
      if (error instanceof TypeError || (error as Error).name === 'TimeoutError') return null;
      throw error;
    }
  }

  /** Kills as people do. Answers when somebody was served for the last time, once the command has ended, and what it said. */
  async kill(reason: string): Promise<{ readonly servedAt: number; readonly said: Ended }> {
    let servedAt = 0;
    let ended: Ended | null = null;
    const command = this.bench.cli('kill', MODEL, '--reason', reason, '--key', 'oscar').then((end) => (ended = end));
    this.#kills += 1;
    await until('nobody to be served', PATIENCE_SECONDS, async () => {
      const askedAt = Date.now();
      if ((await this.called()) === 200) servedAt = Date.now();
      return ended !== null && askedAt - servedAt > QUIET_MS ? true : null;
    });
    return { servedAt, said: await command };
  }

  /** When the order with this reason was signed. */
  async signedAt(reason: string): Promise<number> {
    for (const key of await this.bench.keys(`kills/${MODEL}/`)) {
      const { predicate } = (await this.bench.custody.records.find('kill', key))?.verified ?? {};
      if (predicate?.reason === reason) return Date.parse(predicate.issuedAt);
    }
    throw new Error(`no order of the store says ${reason}`);
  }

  /** The kill is lifted by its quorum, and callers are served. */
  async restore(): Promise<void> {
    await until('control to know of the kill', PATIENCE_SECONDS, async () =>
      (await endpointStatus(this.bench.custody, MODEL)).killedBy.length > 0 ? true : null,
    );
    await this.bench.restore();
    this.#restores += 1;
  }

  /** Whatever a fault has left behind that was not survived. */
  async settle(): Promise<void> {
    const { killedBy } = await endpointStatus(this.bench.custody, MODEL);
    if (killedBy.length > 0) await this.restore();
  }

  /** Every invariant that is about more than one release. */
  async holds(release: OnItsWay): Promise<void> {
    const { version } = release;
    await release.refused();
    const served = Object.keys({ ...this.load.report().byRelease, ...this.bench.load.report().byRelease });
    expect(served.filter((release) => release !== 'unnamed' && !this.#agreed.has(release))).toEqual([]);
    expect([this.load.report().mixed, this.bench.load.report().mixed]).toEqual([0, 0]);
    const names = [`${MODEL}@${FIRST.version}`, `${MOVING}@${version}`];
    const [log, ...records] = await Promise.all([
      this.bench.log(),
      ...names.map((name) => this.bench.cli('show', name)),
    ]);
    for (const shown of records) expect(shown.code, shown.stdout + shown.stderr).toBe(0);
    expect(changesOf(log, version)).toEqual(this.#undisturbed);
    const [killed, restored] = ['endpoint.killed', 'endpoint.restored'].map(
      (change) => idsOf(log.filter((record) => record.change === change)).length,
    );
    expect({ killed, restored }).toEqual({ killed: this.#kills, restored: this.#restores });
    const revisions = log.filter(({ change }) => change === 'route.changed').map(({ after }) => after);
    expect(new Set(revisions).size).toBe(idsOf(log.filter(({ change }) => change === 'route.changed')).length);
  }
}

/** A release on its way into service. */
export class OnItsWay {
  readonly version: string;
  readonly #scene: Scene;
  readonly #agreed: Promise<void>;
  #forged: unknown = null;

  constructor(scene: Scene, version: string) {
    this.#scene = scene;
    this.version = version;
    this.#agreed = this.#agree();
    this.#agreed.catch(() => undefined);
  }

  /** It has come as far as this, or further. */
  reached(stages: readonly string[]): Promise<unknown> {
    const name = { model: MOVING, version: this.version };
    return until(`${this.version}: ${stages.join(' or ')}`, PATIENCE_SECONDS, async () =>
      stages.includes((await lifecycleStatus(this.#scene.bench.custody, name)).stage) ? true : null,
    );
  }

  async inService(): Promise<void> {
    await this.#agreed;
    await this.reached(['in service']);
  }

  /** What somebody who is nobody has tried is in the log. */
  async refused(): Promise<void> {
    await this.#scene.bench.refusalOf(this.#forged);
  }

  async #agree(): Promise<void> {
    const { bench } = this.#scene;
    const workflowId = lifecycleId({ model: MOVING, version: this.version });
    const waiting = await until(`a request of ${this.version}`, PATIENCE_SECONDS, () =>
      bench.openGate(this.version, MOVING),
    );
    const request = await until('the request', PATIENCE_SECONDS, () => requestOf(bench.custody, waiting));
    const nobody = { key: importPrivateKey(generateKey('ed25519').privatePem) };
    const forged = decide(nobody, request, 'approve', 'let it pass');
    const told = (envelope: typeof forged): Promise<string> =>
      until('a verdict', PATIENCE_SECONDS, async () => {
        const verdict = await bench.tell(workflowId, 'approve', envelope);
        return verdict === 'PENDING' || verdict === 'TEMPORAL_UNAVAILABLE' ? null : verdict;
      });
    expect(await told(forged)).toBe('SIGNATURE_INVALID');
    const genuine = await until('alice', PATIENCE_SECONDS, () => bench.decision('alice', waiting));
    expect(await told(genuine)).toBe('accepted');
    this.#forged = forged;
  }
}

const idsOf = (records: readonly AuditRecord[]): readonly string[] => [...new Set(records.map(({ id }) => id))];

/** Of one release, each once, as a set has them. */
function changesOf(log: readonly AuditRecord[], version: string): readonly string[] {
  const own = log.filter(
    ({ subject, change }) => subject.model === MOVING && subject.version === version && !ASIDE.includes(change),
  );
  const changes = new Map(own.map(({ id, change }) => [id, change]));
  return [...changes.values()].sort();
}
