/**
 * Decisions, kills, expiry, resets and crashes in any order, by a model: fast-check makes sequences of what people do and of
 * what befalls the workers, and after every step the real thing (a town, as in `faults.test.ts`, on a real Temporal server)
 * must stand as a small reference says: what serves, by which revision, what is stopped, and how each release has ended. A
 * crash kills the process that runs the workflows, and no activity of control's that is under way answers; the next process
 * begins with an empty cache. A reset begins a workflow again
 * from its first task. Two decisions that race may end either way, and the reference takes what came of it; a kill wins always.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { decide, requestRestore } from '../../client/requests.js';
import { endpointId, lifecycleId } from '../../domain/names.js';
import { storeKeys } from '../../domain/store-keys.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { startDevServer } from '../support/temporal.js';
import type { KeyName } from '../support/world.js';
import { Run } from './support/experiment.js';
import type { People } from './support/people.js';
import { until } from './support/until.js';
import { Reference, type Candidate } from './support/reference.js';
import { Stage } from './support/stage.js';
import { inTown } from './support/story.js';
import type { Town, TownOptions } from './support/town.js';
import type { Witness } from './support/witness.js';

const SEED = 20_261;
const PROPERTIES = 4;
const RUNS = 4;
const LONGEST = 40;
/** How long requests are open. */
const OPEN_SECONDS = 60;
/** Nobody decides on what is about to expire: which of both came first could not be said. */
const MARGIN_MS = 25_000;

interface Real {
  readonly town: Town;
  readonly people: People;
  readonly witness: Witness;
}

type Step = fc.AsyncCommand<Reference, Real>;

let stage: Stage;
let steps = 0;
const run = new Run('interleaving');
beforeAll(async () => {
  stage = await Stage.start(startDevServer, { apart: true });
});
afterAll(async () => {
  await stage?.stop();
  run.figure('sequences', PROPERTIES * RUNS, '');
  run.figure('steps', steps, '');
  run.figure('seed of the first', SEED, '');
});

/** Until the real thing stands as the reference says. */
async function agrees(m: Reference, { town, people, witness }: Real): Promise<void> {
  const { model, records } = town;
  const expected = { stopped: [...m.kills].sort(), serving: m.serving, revision: m.revision, ends: [...m.ends].sort() };
  let found: typeof expected | null = null;
  const look = async (): Promise<true | null> => {
    const [state] = people.states();
    const ends: [string, string][] = [];
    for (const version of m.ends.keys()) {
      const outcome = (await records.record(storeKeys.record({ model, version }, 'outcome'))) as {
        kind: string;
      } | null;
      ends.push([version, outcome?.kind ?? 'under way']);
    }
    found = {
      stopped: (state?.killedBy ?? []).map(({ order }) => order).sort(),
      serving: state?.serving.find(({ weight }) => weight > 0)?.version ?? null,
      revision: state?.revision ?? 0,
      ends: ends.sort(),
    };
    return JSON.stringify(found) === JSON.stringify(expected) ? true : null;
  };
  await until('the real thing to stand as the reference says', look).catch(() => expect(found).toEqual(expected));
  expect(witness.broken).toEqual([]);
}

/** One kind of step: whether it can come now, and what it does to the reference and to the real thing. */
const step = (
  name: string,
  can: (m: Reference) => boolean,
  act: (m: Reference, real: Real) => Promise<void>,
): Step => ({
  check: (m) => can(m),
  run: async (m, real) => {
    steps += 1;
    await act(m, real);
    await agrees(m, real);
  },
  toString: () => name,
});

const open = ({ candidate }: Reference): boolean => candidate?.state === 'asked';
const isLate = ({ expiresAt }: { readonly expiresAt: number }): boolean => Date.now() > expiresAt - MARGIN_MS;

async function expire(m: Reference, candidate: Candidate): Promise<void> {
  m.end(candidate, 'expired');
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, candidate.ballot.expiresAt - Date.now())));
}

async function said(real: Real, request: string, by: KeyName, decision: 'approve' | 'reject' = 'approve') {
  const { verified } = await real.town.records.get('request', request);
  return decide(await real.people.signer(by), verified, decision, 'looked at');
}

/** Sent again until it has come about: a reset may have forgotten some of it, and it is the same all the same. */
async function insist(
  real: Real,
  workflowId: string,
  messages: readonly (readonly [string, unknown])[],
  done: () => Promise<boolean> | boolean,
): Promise<void> {
  let sentAt = 0;
  await until('what people have agreed to', async () => {
    if (await done()) return true;
    if (Date.now() - sentAt > 3_000) {
      sentAt = Date.now();
      for (const [message, envelope] of messages) await real.people.handle(workflowId).signal(message, envelope);
    }
    return null;
  });
}

const ask = (): Step =>
  step(
    'ask',
    (m) => !open(m) && m.candidate?.state !== 'waits',
    async (m, { people, town }) => {
      m.asked += 1;
      const made = await people.asks(`1.${m.asked}.0`);
      const gate = await people.record<{ request: string; expiresAt: string }>(made, 'gate');
      const { action } = (await town.records.get('request', gate.request)).verified.predicate;
      expect(action).toMatchObject({ kind: 'deploy', from: { revision: m.revision } });
      const ballot = { request: gate.request, expiresAt: Date.parse(gate.expiresAt), agreed: new Map() };
      m.candidate = { made, ballot, from: m.revision, state: 'asked' };
    },
  );

const approve = (by: KeyName): Step =>
  step(`approve by ${by}`, open, async (m, real) => {
    const candidate = m.candidate!;
    if (isLate(candidate.ballot)) return expire(m, candidate);
    const approval = await said(real, candidate.ballot.request, by);
    const id = lifecycleId(candidate.made);
    await real.people.handle(id).signal('approve', approval);
    if (!m.agree(candidate.ballot, by, approval)) return;
    const all = [...candidate.ballot.agreed.values()].map((each) => ['approve', each] as const);
    const at = storeKeys.record(candidate.made, 'approved');
    await insist(real, id, all, async () => (await real.town.records.record(at)) !== null);
    m.deploy(candidate);
  });

const reject = (by: KeyName): Step =>
  step(`reject by ${by}`, open, async (m, real) => {
    const candidate = m.candidate!;
    if (isLate(candidate.ballot)) return expire(m, candidate);
    // Who has agreed has said what they have to say.
    if (candidate.ballot.agreed.has(by)) return;
    const rejection = await said(real, candidate.ballot.request, by, 'reject');
    await real.people.handle(lifecycleId(candidate.made)).signal('reject', rejection);
    m.end(candidate, 'rejected');
  });

/** By nobody who may. */
const forge = (by: KeyName): Step =>
  step(`approve by ${by}, who may not`, open, async (m, real) => {
    const candidate = m.candidate!;
    if (isLate(candidate.ballot)) return expire(m, candidate);
    const forged = await said(real, candidate.ballot.request, by);
    const told = real.people.send(lifecycleId(candidate.made), 'approve', forged);
    await expect(told).rejects.toThrow();
  });

const expiry = (): Step => step('expire', open, (m) => expire(m, m.candidate!));

const kill = (): Step =>
  step(
    'kill',
    (m) => m.hasEndpoint,
    async (m, { people }) => void m.kills.add(await people.kills()),
  );

/** The last approval and a kill at once. */
const race = (): Step =>
  step(
    'approve and kill at once',
    (m) => open(m) && m.hasEndpoint && m.candidate!.ballot.agreed.size > 0 && m.kills.size === 0,
    async (m, real) => {
      const candidate = m.candidate!;
      if (isLate(candidate.ballot)) return expire(m, candidate);
      const by = candidate.ballot.agreed.has('alice') ? 'bob' : 'alice';
      const approval = await said(real, candidate.ballot.request, by);
      m.agree(candidate.ballot, by, approval);
      const [id, at] = [lifecycleId(candidate.made), storeKeys.record(candidate.made, 'approved')];
      const all = [...candidate.ballot.agreed.values()].map((each) => ['approve', each] as const);
      const agreed = insist(real, id, all, async () => (await real.town.records.record(at)) !== null);
      const [killed] = await Promise.all([real.people.kills(), agreed]);
      m.kills.add(killed);
      await real.people.settled();
      const rollout = (await real.town.records.record(storeKeys.record(candidate.made, 'rollout'))) as {
        kind: string;
      } | null;
      if (rollout === null) candidate.state = 'waits';
      else if (rollout.kind === 'promoted') candidate.state = 'promoted';
      else m.end(candidate, rollout.kind === 'refused' ? 'rejected' : 'rolled back');
      if (rollout?.kind === 'promoted') m.serving = candidate.made.version;
      m.revision = real.people.revision();
    },
  );

const askRestore = (): Step =>
  step(
    'ask to restore',
    (m) => m.kills.size > 0 && m.restore === null,
    async (m, { people, town }) => {
      const kills = [...m.kills];
      const signer = await people.signer('otto');
      const asked = requestRestore(signer, town.model, { kills, revision: m.revision }, OPEN_SECONDS);
      const expiresAt = Date.now() + OPEN_SECONDS * 1000;
      await people.send(endpointId(town.model), 'restore', asked);
      m.restore = { kills, asked, request: envelopeDigest(asked), expiresAt, agreed: new Map() };
    },
  );

const agreeRestore = (by: KeyName): Step =>
  step(
    `restore agreed by ${by}`,
    ({ restore }) => restore !== null,
    async (m, real) => {
      const restore = m.restore!;
      if (isLate(restore)) {
        m.restore = null;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, restore.expiresAt - Date.now())));
        return;
      }
      const { people, witness, town } = real;
      const approval = await said(real, restore.request, by);
      const isEnough = m.agree(restore, by, approval);
      if (isEnough) for (const order of restore.kills) witness.isToBeLifted(order);
      await people.handle(endpointId(town.model)).signal('approve', approval);
      if (!isEnough) return;
      const agreed = [...restore.agreed.values()].map((each) => ['approve', each] as const);
      const isLifted = (): boolean =>
        !people.states().some((state) => state?.killedBy.some(({ order }) => restore.kills.includes(order)));
      await insist(real, endpointId(town.model), [['restore', restore.asked], ...agreed], isLifted);
      m.lift(restore.kills);
    },
  );

const reset = (what: 'endpoint' | 'lifecycle'): Step =>
  step(
    `reset the ${what}`,
    (m) => (what === 'endpoint' ? m.hasEndpoint : m.candidate !== null),
    (m, { town }) => stage.reset(what === 'endpoint' ? endpointId(town.model) : lifecycleId(m.candidate!.made)),
  );

const crash = (): Step =>
  step(
    'crash',
    () => true,
    () => stage.crash(),
  );

const often = (weight: number, ...kinds: readonly Step[]) => ({ arbitrary: fc.constantFrom(...kinds), weight });
/** Of these, those that cannot come at the moment are passed over. */
const sequences = fc.array(
  fc.oneof(
    often(6, approve('alice'), approve('bob'), approve('alice-2')),
    often(6, agreeRestore('oscar'), agreeRestore('olga')),
    often(4, ask()),
    often(3, askRestore()),
    often(3, reset('endpoint'), reset('lifecycle')),
    often(2, kill(), race()),
    often(2, crash()),
    often(1, reject('alice'), reject('bob')),
    often(1, forge('mallory'), forge('rita'), forge('oscar')),
    often(1, expiry()),
  ),
  { minLength: LONGEST, maxLength: LONGEST },
);

/** Requests that expire soon, and a rollout of one step. */
const hurried: TownOptions = {
  policy: (policy) => ({
    ...policy,
    approvals: {
      ...policy.approvals,
      deploy: { role: 'release-approver', count: Reference.QUORUM, withinSeconds: OPEN_SECONDS },
      restore: { role: 'operator', count: Reference.QUORUM, withinSeconds: OPEN_SECONDS },
    },
    rollout: { ...policy.rollout, steps: [{ weight: 100, bakeSeconds: 0.2 }] },
  }),
};

const tried = (commands: Iterable<Step>): Promise<void> =>
  inTown(stage, hurried, null, async ({ town, people, witness }) => {
    await fc.asyncModelRun(() => ({ model: new Reference(), real: { town, people, witness } }), commands);
    await people.settled();
    await witness.end();
    expect([...witness.broken, ...town.troubles]).toEqual([]);
    const ids = (await town.log()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

describe.concurrent('in any order', () => {
  for (let at = 0; at < PROPERTIES; at += 1)
    run.fault(
      'sequences',
      `seed ${SEED + at}`,
      () => fc.assert(fc.asyncProperty(sequences, tried), { seed: SEED + at, numRuns: RUNS, endOnFailure: true }),
      1_800_000,
    );
});
