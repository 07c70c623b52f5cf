import { randomBytes } from 'node:crypto';
import type { AlertPredicate } from '../../../domain/alert.js';
import type { Digest } from '../../../domain/digest.js';
import type { ConsumerPredicate } from '../../../domain/consumers.js';
import { consumerId, endpointId, lifecycleId, type ReleaseName } from '../../../domain/names.js';
import type { RoutingDocument } from '../../../domain/routing.js';
import type {
  ApprovalPredicate,
  KillPredicate,
  ReplicaPredicate,
  RequestAction,
  RequestPredicate,
  RollbackPredicate,
  StatusPredicate,
} from '../../../domain/statements.js';
import { isoTime, plusSeconds } from '../../../domain/time.js';
import { sha256 } from '../../../formats/sha256.js';
import { nonce, type KeyName, type Organisation, type Signed, type Signers, type Subject } from './organisation.js';

export type Words = ReturnType<typeof createWords>;

export const firstOf = (by: Signers): string => (typeof by === 'string' ? by : (by[0] ?? ''));

/** What people ask for, decide and order, and what processes say. */
export function createWords({ environment, at, policy, policyDigest: gate, statement }: Organisation) {
  function request(
    about: Subject,
    predicate: Pick<RequestPredicate, 'model' | 'workflowId' | 'action' | 'requester'> & Partial<RequestPredicate>,
    by: Signers = 'control',
  ): Signed<RequestPredicate> {
    const issuedAt = predicate.issuedAt ?? at(-40);
    return statement(
      'request',
      about,
      {
        requestId: `${predicate.action.kind}-${randomBytes(4).toString('hex')}`,
        nonce: nonce(),
        environment,
        version: null,
        release: null,
        evidence: {},
        policy: gate,
        producer: null,
        expiresAt: plusSeconds(issuedAt, 600),
        ...predicate,
        issuedAt,
      },
      by,
    );
  }

  /** One person's approval, or with `decision: 'reject'` the contrary. */
  function approve(
    asked: Signed<RequestPredicate>,
    by: Signers,
    overrides: Partial<ApprovalPredicate> & { readonly subject?: Digest } = {},
  ): Signed<ApprovalPredicate> {
    const { subject = asked.digest, ...predicate } = overrides;
    const { requestId, workflowId, expiresAt } = asked.predicate;
    return statement(
      'approval',
      { name: requestId, sha256: subject },
      {
        requestId,
        nonce: nonce(),
        environment: asked.predicate.environment,
        workflowId,
        decision: 'approve',
        reason: 'looks right',
        issuedAt: at(-30),
        expiresAt,
        ...predicate,
      },
      by,
    );
  }

  /** A status document: fresh, with nothing revoked and nothing killed. */
  function status(overrides: Partial<StatusPredicate> = {}, by: KeyName = 'control'): Signed<StatusPredicate> {
    const now = Date.now();
    return statement(
      'status',
      { name: 'status', sha256: sha256(`status ${now}`) },
      {
        environment,
        version: now,
        issuedAt: isoTime(now),
        expiresAt: isoTime(now + policy.freshness.lifetimeSeconds * 1000),
        revoked: [],
        kills: [],
        ...overrides,
      },
      by,
    );
  }

  function order(model: string): { name: string; sha256: Digest } {
    return { name: endpointId(model), sha256: sha256(endpointId(model)) };
  }

  function kill(by: KeyName = 'oscar', overrides: Partial<KillPredicate> = {}): Signed<KillPredicate> {
    const model = overrides.model ?? 'digits';
    const times = { issuedAt: at(-10), expiresAt: at(590) };
    const said = { environment, model, nonce: nonce(), reason: 'it answers nonsense', ...times, ...overrides };
    return statement('kill', order(model), said, by);
  }

  /** A critical alert about whatever serves. */
  function alert(by: Signers = 'siem', overrides: Partial<AlertPredicate> = {}): Signed<AlertPredicate> {
    const model = overrides.model ?? 'digits';
    const said: AlertPredicate = {
      ...{ environment, model, version: null, release: null, severity: 'critical', nonce: nonce() },
      ...{ reason: 'it leaks its prompts', issuedAt: at(-10), expiresAt: at(590) },
      ...overrides,
    };
    return statement('alert', order(model), said, by);
  }

  function rollbackOrder(by: KeyName = 'oscar', overrides: Partial<RollbackPredicate> = {}): Signed<RollbackPredicate> {
    const model = overrides.model ?? 'digits';
    const times = { issuedAt: at(-10), expiresAt: at(590) };
    const said = { environment, model, nonce: nonce(), target: null, reason: 'it was better', ...times, ...overrides };
    return statement('rollback', order(model), said, by);
  }

  /** Where serving runs a release; short-lived, as serving's own are. */
  function replica(
    of: { readonly name: ReleaseName; readonly release: Digest },
    overrides: Partial<ReplicaPredicate> = {},
    by: KeyName = 'serving',
  ): Signed<ReplicaPredicate> {
    const now = Date.now();
    const times = { issuedAt: isoTime(now), expiresAt: isoTime(now + 10_000) };
    const said = { environment, ...of.name, host: '127.0.0.1', port: 8080, ...times, ...overrides };
    return statement('replica', { name: lifecycleId(of.name), sha256: of.release }, said, by);
  }

  function restoreRequest(
    current: { readonly document: RoutingDocument },
    kills: readonly Digest[],
    overrides: Partial<RequestPredicate> = {},
    by: Signers = 'oscar',
  ): Signed<RequestPredicate> {
    const { model, revision } = current.document;
    const action: RequestAction = { kind: 'restore', kills, revision };
    const said = { model, workflowId: endpointId(model), action, requester: firstOf(by), ...overrides };
    return request(order(model), said, by);
  }

  /** What is said of `checkout`, a consumer of digits that is carla's. */
  function consumer(overrides: Partial<ConsumerPredicate> = {}, by: Signers = 'oscar'): Signed<ConsumerPredicate> {
    const said: ConsumerPredicate = {
      environment,
      consumer: 'checkout',
      sequence: 1,
      models: ['digits'],
      endpoint: null,
      owner: 'carla',
      criticality: 'critical',
      contact: 'checkout',
      identities: [],
      issuedAt: at(-10),
      expiresAt: at(86_400),
      ...overrides,
    };
    const { consumer: id, sequence } = said;
    return statement(
      'consumer',
      { name: consumerId(id, sequence), sha256: sha256(consumerId(id, sequence)) },
      said,
      by,
    );
  }

  return { request, approve, status, kill, alert, rollbackOrder, replica, restoreRequest, consumer };
}
