import { randomUUID } from 'node:crypto';
import { temporal } from '@temporalio/proto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type * as workflows from '../../workflows/index.js';
import { ENDPOINT_DECISIONS, LIFECYCLE_DECISIONS } from '../../workflows/messages.js';
import { IDENTITY, startDevServer } from '../support/temporal.js';
import {
  decision,
  deferred,
  digestOf,
  envelope,
  orderOf,
  refusal,
  stage,
  type ActivityName,
} from '../support/zones.js';

const on = stage(startDevServer);
type Payload = temporal.api.common.v1.IPayload;

const payload = (text: string, encoding = 'json/plain'): Payload => ({
  metadata: { encoding: Buffer.from(encoding) },
  data: Buffer.from(text),
});

const GOOD = envelope('hostile', 'forged');
const ORDER = orderOf('hostile', '1.0.0');
/** Deeper than a machine's stack: it can be read, and not written again. */
const DEEP = `${'['.repeat(8_000)}${']'.repeat(8_000)}`;
const beside = (good: object, more: string): string => `${JSON.stringify(good).slice(0, -1)},"more":${more}}`;

/** What is wrong in a way of its own, and would hardly be made up. */
const KNOWN: readonly (readonly Payload[])[] = [
  [],
  [{}],
  [payload('x', 'of nobody')],
  [payload('{', 'json/plain')],
  [payload('{}', 'json/protobuf')],
  [{ metadata: { encoding: Buffer.from('binary/plain') }, data: Buffer.alloc(64, 0xff) }],
  [{ metadata: { encoding: Buffer.from('binary/null') } }],
  ...[
    ...['null', '0', '-1e400', 'true', '""', '[]', '{}', '{"__proto__":{"payload":"x","signatures":[]}}'],
    ...['{"payload":null,"signatures":null}', '{"payload":{},"signatures":{"length":-1}}', '{"toJSON":1}'],
    ...[JSON.stringify('x'.repeat(66_000))],
    ...[DEEP, beside(GOOD, DEEP), beside(ORDER, DEEP)],
  ].map((text) => [payload(text)]),
];

/** A good message with something else in one place, or without it. */
const nearly = (good: object): fc.Arbitrary<unknown> =>
  fc
    .tuple(fc.constantFrom(...Object.keys(good)), fc.oneof(fc.constant(undefined), fc.jsonValue({ maxDepth: 3 })))
    .map(([key, value]) => ({ ...good, [key]: value }));
const MADE_UP = fc.sample(fc.oneof(fc.jsonValue(), nearly(GOOD), nearly(ORDER)), { numRuns: 12, seed: 1 });
const PAYLOADS = [...KNOWN, ...MADE_UP.map((value) => [payload(JSON.stringify(value))])];

/** The second argument would end a history early, the third is what only a run before hands on. */
const STARTS: readonly (readonly unknown[])[] = [
  [null],
  [1],
  ['x'],
  [[]],
  [{}],
  [{}, {}, {}],
  [null, { valueOf: 1 }, { messages: 1 }],
];

interface Hostile {
  readonly id: string;
  readonly args: readonly unknown[];
  /** What it waits in while it is written to. */
  readonly holds: ActivityName | null;
  readonly messages: readonly string[];
  readonly after: (id: string) => Promise<void>;
}

const handleOf = (id: string) => on.env.client.workflow.getHandle(id);
const ends = async (id: string): Promise<void> => void (await handleOf(id).result());

const agreed = async (id: string, request: string): Promise<void> => {
  for (const by of ['alice', 'bob']) await handleOf(id).executeUpdate('approve', { args: [decision(by, request)] });
};

const short = (id: string, args: readonly unknown[], holds: ActivityName): Hostile => ({
  ...{ id, args, holds, messages: ['approve'] },
  after: ends,
});

const RELEASE = 'hostile/1.0.0';
/** Every type of workflow, each where it takes what it takes. */
const TYPES: Record<keyof typeof workflows, Hostile> = {
  lifecycle: {
    ...{ id: `lifecycle/${RELEASE}`, args: [{ request: GOOD }], holds: null },
    messages: [...LIFECYCLE_DECISIONS, 'rolloutEnded', 'holdLifted', 'consumersChanged'],
    after: async (id) => {
      await agreed(id, 'deploy-1');
      await expect.poll(() => handleOf(id).query('status')).toMatchObject({ stage: 'in service' });
    },
  },
  endpoint: {
    ...{ id: 'endpoint/hostile', args: [], holds: null },
    messages: [...ENDPOINT_DECISIONS, 'rollout', 'routesChanged'],
    after: async (id) => {
      await handleOf(id).executeUpdate('kill', { args: [envelope('kill')] });
      expect(await handleOf(id).query('status')).toMatchObject({ killedBy: [digestOf('kill')] });
    },
  },
  training: {
    ...{ id: 'training/hostile/first', args: [{ request: GOOD }], holds: null, messages: ['approve', 'reject'] },
    after: async (id) => agreed(id, 'train-1').then(() => ends(id)),
  },
  lift: {
    ...{ id: `lift/${RELEASE}`, args: [GOOD], holds: null, messages: ['approve', 'reject'] },
    after: async (id) => agreed(id, 'lift-1').then(() => ends(id)),
  },
  alert: short(`alert/hostile/${digestOf('alert')}`, [GOOD], 'strayAlert'),
  data: short(
    `data/hostile/${digestOf('data')}`,
    [{ statement: GOOD, handovers: [], folder: 'file:///data' }],
    'admitData',
  ),
  promote: short(`promote/${RELEASE}`, [{ request: GOOD }], 'admitPromotion'),
  resign: short(`resign/${RELEASE}`, [{ request: GOOD }], 'admitResign'),
  policy: short('policy/2', [GOOD], 'applyPolicy'),
  consumer: short('consumer/hostile/1', [GOOD], 'declareConsumer'),
  hold: short(`hold/${RELEASE}`, [GOOD], 'admitHold'),
  retention: short('retention', [], 'extendRecords'),
  drill: short('drill', [], 'beginDrill'),
};
const CASES = Object.entries(TYPES);

/** Why a task of the workflow failed: it would be tried again for ever. Temporal itself ends one when a message comes as it ends. */
async function failedTasks(id: string): Promise<unknown[]> {
  const { events } = await handleOf(id).fetchHistory();
  const { WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND } = temporal.api.enums.v1.WorkflowTaskFailedCause;
  return (events ?? [])
    .map((event) => event.workflowTaskFailedEventAttributes)
    .filter((failed) => failed != null && failed.cause !== WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND)
    .map((failed) => failed?.failure?.message);
}

/** Waits for the work, and no longer than until a task of the workflow is tried again. */
async function unlessStuck(id: string, work: Promise<unknown>): Promise<void> {
  let isDone = false;
  const watched = work.finally(() => (isDone = true));
  const isStuck = async (): Promise<boolean> => {
    const { raw } = await handleOf(id).describe();
    return (raw.pendingWorkflowTask?.attempt ?? 0) > 2;
  };
  const either = expect.poll(async () => isDone || (await isStuck()), { timeout: 150_000 }).toBe(true);
  await Promise.race([Promise.all([watched, either]), either]);
  expect(await failedTasks(id)).toEqual([]);
  await watched;
}

async function send(id: string, name: string, payloads: readonly Payload[]): Promise<void> {
  const { workflowService } = on.env.client;
  const to = { namespace: on.env.namespace ?? 'default', workflowExecution: { workflowId: id } };
  await workflowService.signalWorkflowExecution({ ...to, signalName: name, input: { payloads: [...payloads] } });
}

/** Accepted or refused; for the verdict nobody waits here. */
async function update(id: string, name: string, payloads: readonly Payload[]): Promise<void> {
  const stages = temporal.api.enums.v1.UpdateWorkflowExecutionLifecycleStage;
  await on.env.client.workflowService.updateWorkflowExecution({
    namespace: on.env.namespace ?? 'default',
    workflowExecution: { workflowId: id },
    request: {
      meta: { updateId: randomUUID(), identity: IDENTITY },
      input: { name, args: { payloads: [...payloads] } },
    },
    waitPolicy: { lifecycleStage: stages.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED },
  });
}

beforeEach(() => {
  const isSigned = (sent: unknown): boolean => JSON.stringify(sent ?? null).includes('"valid"');
  const refused = { accepted: false, code: 'MALFORMED', reason: 'it is none' } as const;
  const { acts } = on.zones;
  const { killEndpoint } = acts;
  Object.assign(acts, {
    decide: async (...[given]: Parameters<typeof acts.decide>) => {
      const good = given.decisions.filter(({ envelope: sent }) => isSigned(sent));
      const all = [...new Set([...given.counted, ...good.map(({ envelope: sent }) => digestOf(JSON.stringify(sent)))])];
      const verdicts = given.decisions.map(({ envelope: sent }) =>
        isSigned(sent) ? { accepted: true, by: 'alice', statement: digestOf(JSON.stringify(sent)) } : refused,
      );
      const missing = given.gate.count - all.length;
      const approved = { request: given.gate.request, approvals: all, approvers: ['alice', 'bob'] };
      return { verdicts, outcome: missing > 0 ? { kind: 'pending', missing } : { kind: 'approved', approved } };
    },
    condemnRelease: async (...[, , notices]: Parameters<typeof acts.condemnRelease>) => ({
      ...{ verdicts: notices.map(() => refused), condemned: null },
    }),
    takeAlerts: async (...[, alerts]: Parameters<typeof acts.takeAlerts>) => ({
      ...{ verdicts: alerts.map(() => refused), act: null, alarms: [] },
    }),
    sortKills: async (...[, orders]: Parameters<typeof acts.sortKills>) =>
      orders.map(({ envelope: sent }) =>
        isSigned(sent) ? { accepted: true, by: 'oscar', statement: digestOf('kill') } : refused,
      ),
    killEndpoint: async (...[model, order]: Parameters<typeof acts.killEndpoint>) => {
      if (!isSigned(order)) throw refusal('MALFORMED', 'it is none');
      return killEndpoint(model, order);
    },
    ...Object.fromEntries(
      ['checkRollback', 'openRestoreGate', 'openRetireGate'].map((name) => [
        name,
        async () => {
          throw refusal('MALFORMED', 'it is none');
        },
      ]),
    ),
  });
});

/** What the activity says while `id` is written to comes only when `release` is called. */
function hold(name: ActivityName): () => void {
  const acts = on.zones.acts as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
  const act = acts[name];
  const held = deferred();
  acts[name] = async (...given) => held.promise.then(() => act?.(...given));
  return () => held.resolve();
}

const start = (type: string, workflowId: string, args: readonly unknown[]) =>
  on.env.client.workflow.start(type, { workflowId, taskQueue: 'control', args: [...args] });

const isLasting = (type: string): boolean => type === 'lifecycle' || type === 'endpoint';

describe.each(CASES)('a %s', (type, { id, args, holds, messages, after }) => {
  it('goes on, whatever it is told and asked', async () => {
    const release = holds === null ? null : hold(holds);
    await start(type, id, args);
    if (holds !== null) await on.zones.called(holds);
    const written = async (): Promise<void> => {
      for (const name of [...messages, 'nobody knows it', '__proto__', '__temporal_x']) {
        await Promise.all(PAYLOADS.map((payloads) => send(id, name, payloads)));
        for (const payloads of KNOWN.filter((_, at) => at % 4 === 0)) await update(id, name, payloads);
      }
    };
    await unlessStuck(id, written());
    release?.();
    await unlessStuck(id, after(id));
    if (isLasting(type)) await handleOf(id).terminate('it goes on');
  });

  it('ends or goes on, whatever it is started with', async () => {
    if (holds !== null)
      on.zones.acts[holds] = async () => {
        throw refusal('MALFORMED', 'it is none');
      };
    for (const given of STARTS) {
      await start(type, id, given);
      await unlessStuck(id, holds === null ? handleOf(id).query('status') : handleOf(id).result());
      if (holds === null) await handleOf(id).terminate('it goes on');
    }
  });
});
