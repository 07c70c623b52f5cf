import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type {
  EndpointControl,
  IntakeActivities,
  LifecycleControl,
  ServingActivities,
  SigningActivities,
  WatchActivities,
} from '../activities/contract.js';
import { tellEndpoint } from '../activities/tell-endpoint.js';
import { BEAT_MS } from '../activities/watch-service.js';
import { rolloutOf, type RoutedPosition } from '../domain/endpoint.js';
import type { RolloutResult } from '../domain/lifecycle.js';
import { endpointId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { sha256 } from '../formats/sha256.js';
import { endpointStatusQuery, rolloutEndedSignal, rolloutSignal } from '../workflows/messages.js';

/**
 * What every zone answers on the way of a release into service, at once: nothing is read, checked or written. `lost` ends the
 * worker: a release that does not get there would be waited for in vain.
 */
export function noOps(temporal: Client, inService: (name: ReleaseName) => void, lost: (why: string) => never) {
  const control: Partial<LifecycleControl & EndpointControl> = {
    resumeLifecycle: async () => ({}),
    admitRelease: async ({ model, version }) => {
      const source = `file:///releases/${model}-${version}`;
      const said = { request: sha256('start'), requester: 'ci', policy: sha256('policy'), source };
      return { ...said, bundle: `${source}.sigstore`, provenance: `${source}.provenance.json` };
    },
    openDeployGate: async ({ model, version }) => {
      const requestId = `deploy-${model}-${version}`;
      const expiresAt = isoTime(Date.now() + 86_400_000);
      return {
        ...{ request: sha256(requestId), requestId, role: 'release-approver', count: 2, expiresAt },
        envelope: envelope(),
      };
    },
    decide: async ({ gate, counted, decisions }) => {
      const verdicts = decisions.map(({ envelope: sent }) => {
        const { payload } = sent as SignedEnvelope;
        return { accepted: true, by: 'alice', statement: sha256(payload) } as const;
      });
      const approvals = [...new Set([...counted, ...verdicts.map(({ statement }) => statement)])];
      const missing = gate.count - approvals.length;
      const approved = { request: gate.request, approvals, approvers: ['alice', 'bob'] };
      return { verdicts, outcome: missing > 0 ? { kind: 'pending', missing } : { kind: 'approved', approved } };
    },
    record: async (name, part, value) => {
      if (part === 'rollout') {
        const { kind } = value as RolloutResult;
        if (kind !== 'promoted') lost(`${name.model} was ${kind}`);
        inService(name);
      }
      return value;
    },
    proviso: async () => null,
    askEndpoint: (model, order) => tellEndpoint(temporal, model, rolloutSignal, order),
    rolloutState: async (model, request) => {
      try {
        return rolloutOf(await temporal.workflow.getHandle(endpointId(model)).query(endpointStatusQuery), request);
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return null;
        throw error;
      }
    },
    resumeEndpoint: async () => at(0, null),
    resumeRollout: async () => ({ kind: 'new' }),
    routeStep: async (_model, { release, version }) => {
      const position = at(1, { release, version });
      return { position, bakeSeconds: 0, timeoutSeconds: 60, last: true, pauses: false };
    },
    promoteRelease: async (_model, { release, version }) => at(2, { release, version }),
    rollBack: async (model, _target, reason) => lost(`${model} was rolled back: ${reason}`),
    noteRoute: async () => undefined,
    confirmRoute: async () => undefined,
    noteVerdict: async () => undefined,
    replyRollout: async (replyTo, ended) => temporal.workflow.getHandle(replyTo).signal(rolloutEndedSignal, ended),
  };
  const intake: Partial<IntakeActivities> = {
    ingest: async ({ model, version }) => ({
      ...{ release: sha256(`${model} ${version}`), producer: 'ci', files: 5, bytes: 1e9, bundle: sha256('bundle') },
      ...{ provenance: sha256('provenance'), scan: sha256('scan'), change: sha256('change') },
    }),
    validate: async () => ({ testResult: sha256('test result'), passed: 20, failed: [], accuracy: 0.97 }),
  };
  const signing: Partial<SigningActivities> = { signRelease: async () => ({ signature: sha256('signature') }) };
  const serving: Partial<ServingActivities> = { startRelease: async () => undefined };
  const watch: WatchActivities = {
    watchStep: async (_model, revision) => ({ kind: 'pass', revision, samples: 100 }),
    watchService: () => untilCancelled(),
  };
  return { control, intake, signing, serving, watch };
}

/** As large as a signed statement is in life. */
export function envelope(payload = 'x'.repeat(800)): SignedEnvelope {
  return {
    payloadType: 'application/vnd.in-toto+json',
    payload,
    signatures: [{ keyid: sha256('key'), sig: 'x'.repeat(88) }],
  };
}

function at(revision: number, of: { readonly release: string; readonly version: string } | null): RoutedPosition {
  const serving = of === null ? [] : [{ ...of, weight: 100 }];
  return { revision, document: sha256(`route ${revision}`), serving, killedBy: [], stopped: [] };
}

/** A watch lasts as long as what it watches serves. */
async function untilCancelled(): Promise<never> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), BEAT_MS);
  try {
    return await context.cancelled;
  } finally {
    clearInterval(beat);
  }
}
