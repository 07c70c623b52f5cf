import type { Client, WorkflowHandle } from '@temporalio/client';
import {
  acknowledgeNotice,
  assessRisk,
  condemnRelease,
  decide,
  declareConsumer,
  orderHold,
  orderKill,
  orderRollback,
  overrideFailure,
  requestLift,
  requestPromotion,
  requestRelease,
  requestResign,
  requestRestore,
  requestRetirement,
  type Signer,
} from '../../../client/requests.js';
import type { Digest } from '../../../domain/digest.js';
import type { ModelState } from '../../../domain/gateway.js';
import { endpointId, lifecycleId, type ReleaseName } from '../../../domain/names.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { newNonce, signAlert } from '../../../formats/requests.js';
import {
  startConsumer,
  startHold,
  startLifecycle,
  startLift,
  startPromote,
  startResign,
  type Receipt,
} from '../../../workflows/messages.js';
import { ASSESSMENT, type KeyName } from '../../support/world.js';
import type { ActivityName } from '../../support/zones.js';
import type { Zones } from './faults.js';
import { settled } from './histories.js';
import { placesOf, produce, type Source } from './release.js';
import type { Town } from './town.js';
import { until } from './until.js';
import type { Witness } from './witness.js';

/** What people do in a town, each by its own signed statements and on the way that everybody has. */
export class People {
  private readonly town: Town;
  private readonly temporal: Client;
  private readonly witness: Witness;
  private readonly zones: Zones;
  readonly started = new Set<string>();

  constructor(town: Town, temporal: Client, witness: Witness, zones: Zones) {
    this.town = town;
    this.temporal = temporal;
    this.witness = witness;
    this.zones = zones;
  }

  async signer(id: KeyName): Promise<Signer> {
    const { newestDigest: policy } = await this.town.records.policies();
    return { key: this.town.world.keys[id], id, environment: this.town.world.environment, policy };
  }

  handle(workflowId: string): WorkflowHandle {
    return this.temporal.workflow.getHandle(workflowId);
  }

  get endpoint(): string {
    return endpointId(this.town.model);
  }

  /** A message as an update, with its verdict. */
  send(workflowId: string, name: string, envelope: SignedEnvelope): Promise<Receipt> {
    return this.handle(workflowId).executeUpdate<Receipt, [SignedEnvelope]>(name, {
      args: [envelope],
      updateId: envelopeDigest(envelope),
    });
  }

  async run<T>(
    type: string,
    options: { readonly workflowId: string; readonly taskQueue: string },
    args: unknown[],
  ): Promise<{ readonly workflowId: string; readonly result: () => Promise<T> }> {
    this.started.add(options.workflowId);
    const handle = await this.temporal.workflow.start(type, { ...options, args });
    return { workflowId: handle.workflowId, result: () => handle.result() as Promise<T> };
  }

  /** A short workflow to its end, which must be this. */
  async toEnd(
    type: string,
    options: { readonly workflowId: string; readonly taskQueue: string },
    args: unknown[],
    kind: string,
  ): Promise<Record<string, unknown>> {
    const ended = await (await this.run<Record<string, unknown>>(type, options, args)).result();
    if (ended['kind'] !== kind) throw new Error(`${options.workflowId} ended as ${JSON.stringify(ended)}`);
    return ended;
  }

  record<T = Record<string, unknown>>(name: ReleaseName, part: string): Promise<T> {
    const key = storeKeys.record(name, part);
    return until(key, async () => (await this.town.records.record(key)) as T | null);
  }

  async asks(version: string, quality: 'good' | 'poor' = 'good', isUrgent = false): Promise<Source> {
    const { world, folder, model } = this.town;
    const made = await produce(world, folder, { model, version }, quality);
    const by = await this.signer(isUrgent ? 'rita' : 'ci');
    const riskAssessment = isUrgent ? assessRisk(by, { ...name(made), release: made.release }, ASSESSMENT) : null;
    const request = requestRelease(by, name(made), placesOf(made), riskAssessment);
    await this.run('lifecycle', startLifecycle(name(made)), [
      { request, ...(riskAssessment === null ? {} : { riskAssessment }) },
    ]);
    return made;
  }

  /** Each of them decides on a request, as it lies in WORM. */
  async decides(
    workflowId: string,
    request: Digest,
    by: readonly KeyName[],
    decision: 'approve' | 'reject' = 'approve',
  ): Promise<void> {
    const { verified } = await this.town.records.get('request', request);
    for (const id of by)
      await this.send(workflowId, decision, decide(await this.signer(id), verified, decision, 'looked at'));
  }

  /** People agree to its deployment, and to go on where it pauses. */
  async inService(made: Source, by: readonly KeyName[] = ['alice']): Promise<void> {
    const gate = await this.record<{ request: Digest }>(made, 'gate');
    await this.decides(lifecycleId(made), gate.request, by);
    const rollout = storeKeys.record(made, 'rollout');
    const step = await until(`the next step of ${made.version}, or its end`, async () => {
      if ((await this.town.records.record(rollout)) !== null) return 'ended';
      return (await this.town.records.record(storeKeys.stepGate(gate.request, 1))) as { request: Digest } | null;
    });
    if (step !== 'ended') await this.decides(this.endpoint, step.request, ['alice']);
    const ended = await this.record<{ kind: string; reason?: string }>(made, 'rollout');
    if (ended.kind !== 'promoted')
      throw new Error(`${made.version} was not promoted: ${ended.kind} ${ended.reason ?? ''}`);
  }

  async kills(): Promise<Digest> {
    const order = orderKill(await this.signer('oscar'), this.town.model, 'it answers nonsense');
    const digest = envelopeDigest(order);
    await this.send(this.endpoint, 'kill', order);
    this.witness.isStopped(digest);
    await this.witness.look('the kill');
    return digest;
  }

  /** The model as each gateway has it. */
  states(): readonly (ModelState | undefined)[] {
    return this.town.gateways.map(({ gateway }) =>
      gateway.state().models.find(({ model }) => model === this.town.model),
    );
  }

  revision(): number {
    return Math.max(...this.states().map((state) => state?.revision ?? 0));
  }

  /** Until every gateway holds the order. */
  everywhere(kill: Digest): Promise<true> {
    return until('every gateway to hold the kill', () =>
      this.states().every((state) => state?.killedBy.some(({ order }) => order === kill) === true) ? true : null,
    );
  }

  /** Until the zones were asked for this. */
  called(name: ActivityName): Promise<true> {
    return until(`a call of ${name}`, () => (this.zones.names().has(name) ? true : null));
  }

  /** Until no workflow waits for an activity, but for the watch of what serves. */
  settled(): Promise<void> {
    return settled(this.handles());
  }

  handles(): readonly WorkflowHandle[] {
    return [...this.started, this.endpoint].map((id) => this.handle(id));
  }

  async restores(kills: readonly Digest[]): Promise<void> {
    const asked = requestRestore(await this.signer('otto'), this.town.model, { kills, revision: this.revision() }, 600);
    await this.send(this.endpoint, 'restore', asked);
    await this.decides(this.endpoint, envelopeDigest(asked), ['oscar']);
    for (const kill of kills) this.witness.isToBeLifted(kill);
    await this.decides(this.endpoint, envelopeDigest(asked), ['olga']);
    await this.serves(true);
  }

  async rollsBack(target: Digest): Promise<void> {
    const order = orderRollback(await this.signer('oscar'), this.town.model, target, 'it was better');
    await this.send(this.endpoint, 'rollback', order);
  }

  /** Until callers are answered, or are not. */
  serves(isServed: boolean, release: Digest | null = null): Promise<true> {
    return until(`callers ${isServed ? 'are' : 'are not'} served ${release ?? ''}`, () => {
      const served = this.states().every(
        (state) =>
          state !== undefined &&
          state.killedBy.length === 0 &&
          state.serving.some(({ release: each, weight }) => weight > 0 && (release === null || each === release)),
      );
      return served === isServed ? true : null;
    });
  }

  async declares(): Promise<string> {
    // Its workflow's id says whose it is.
    const consumer = this.town.model;
    const said = {
      ...{ consumer, sequence: 1, models: [this.town.model], endpoint: null, owner: 'carla' },
      ...({ criticality: 'critical', contact: 'checkout', identities: [] } as const),
    } as const;
    const signed = declareConsumer(await this.signer('oscar'), said, 30);
    await this.toEnd('consumer', startConsumer(consumer, 1), [signed], 'declared');
    return consumer;
  }

  /** Asked for, agreed to, and, where somebody depends on it, answered; then its certificate. */
  async retires(made: Source, consumer: string | null, vulnerability?: Digest): Promise<Digest> {
    const { model, version, release } = made;
    const id = lifecycleId(made);
    const said = {
      ...{ release, reason: 'replaced', noticeSeconds: 1 },
      ...(vulnerability === undefined ? {} : { vulnerability }),
    };
    const asked = requestRetirement(await this.signer('rita'), { model, version }, said, 600);
    await this.send(id, 'retire', asked);
    const request = envelopeDigest(asked);
    await this.decides(id, request, ['alice', 'bob']);
    if (consumer !== null) {
      await this.record(made, 'retirement');
      await this.send(
        id,
        'acknowledge',
        acknowledgeNotice(await this.signer('carla'), { model, version, release, request, consumer }),
      );
    }
    const ended = (await this.handle(id).result()) as { kind: string; certificate: Digest };
    if (ended.kind !== 'retired') throw new Error(`${version} ended as ${JSON.stringify(ended)}`);
    return ended.certificate;
  }

  async condemns(made: Source): Promise<Digest> {
    const said = { vulnerability: 'CVE-2026-1', reason: 'it can be made to say anything' };
    const notice = condemnRelease(await this.signer('sam'), { ...name(made), release: made.release }, said);
    await this.send(lifecycleId(made), 'condemn', notice);
    return envelopeDigest(notice);
  }

  async overrides(made: Source, seconds: number, by: KeyName = 'vera'): Promise<void> {
    const gate = await this.record<{ request: Digest }>(made, 'overrideGate');
    const { verified } = await this.town.records.get('request', gate.request);
    const { action } = verified.predicate;
    const lifts = action.kind === 'override' ? action.failed : [];
    const said = overrideFailure(await this.signer(by), verified, { lifts, justification: 'it is known', seconds });
    await this.send(lifecycleId(made), 'override', said);
  }

  async alerts(version: string): Promise<void> {
    const said = { model: this.town.model, version, release: null, severity: 'critical', nonce: newNonce() } as const;
    await this.send(this.endpoint, 'securityAlert', signAlert(await this.signer('siem'), { ...said, reason: 'leaks' }));
  }

  async holds(made: Source): Promise<Digest> {
    const order = orderHold(await this.signer('sam'), name(made), made.release, 'a lawsuit');
    await this.toEnd('hold', startHold(name(made)), [order], 'held');
    return envelopeDigest(order);
  }

  async lifts(made: Source, holds: readonly Digest[]): Promise<void> {
    const said = { release: made.release, holds, reason: 'it is over' };
    const asked = requestLift(await this.signer('otto'), name(made), said, 600);
    const handle = await this.run<{ kind: string }>('lift', startLift(name(made)), [asked]);
    const request = envelopeDigest(asked);
    await until('the request to lift', () => this.town.records.record(storeKeys.request(request)));
    await this.decides(handle.workflowId, request, ['oscar', 'olga']);
    const { kind } = await handle.result();
    if (kind !== 'lifted') throw new Error(`the hold was not lifted: ${kind}`);
  }

  async resigns(made: Source): Promise<void> {
    const request = requestResign(await this.signer('oscar'), name(made), made.release);
    await this.toEnd('resign', startResign(name(made)), [{ request }], 'resigned');
  }

  async promotes(made: Source): Promise<void> {
    const request = requestPromotion(await this.signer('oscar'), name(made), made.release);
    await this.toEnd('promote', startPromote(name(made)), [{ request }], 'promoted');
  }
}

const name = ({ model, version }: ReleaseName): ReleaseName => ({ model, version });
