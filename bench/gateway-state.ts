import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { developmentPolicy } from '../client/init.js';
import type { Authority } from '../domain/policy.js';
import type { RouteEntry, RoutingDocument } from '../domain/routing.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { generateKey, importPrivateKey, type SigningKey } from '../formats/keys.js';
import { policyDigest, signPolicy, type PinnedRoot } from '../formats/policy.js';
import { sha256 } from '../formats/sha256.js';
import { signStatement } from '../formats/statements.js';
import { Gateway } from '../gateway/gateway.js';

const HOUR_MS = 3_600_000;

export type BenchState = ReturnType<typeof gatewayState>;

/** What goes wrong in a measured gateway ends the measurement. */
export function report(error: unknown): void {
  if (error instanceof Error) throw error;
}

/** A gateway in this process that goes on from there, with these replicas. */
export function openGateway(folder: string, { root, durable }: BenchState, replicas: BenchState['replicas']): Gateway {
  leaveState(folder, durable);
  const gateway = gatewayOn(folder, root);
  for (const replica of replicas) gateway.admitReplica(replica);
  return gateway;
}

export function leaveState(folder: string, durable: object): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'state.json'), JSON.stringify(durable));
}

/** A gateway in this process that goes on from what lies in the folder. */
export function gatewayOn(folder: string, root: PinnedRoot): Gateway {
  return new Gateway({ environment: 'bench', root, state: folder, report, reaches: () => true });
}

/**
 * What a gateway has on disk while a second release of each model has half of the callers, and the replicas of all, which are one
 * server.
 */
export function gatewayState(
  port: number,
  models: readonly string[] = ['digits'],
): {
  readonly root: PinnedRoot;
  readonly durable: object;
  readonly replicas: readonly SignedEnvelope[];
  /** Who may kill. */
  readonly operator: SigningKey;
} {
  const newKey = (): SigningKey => importPrivateKey(generateKey('ed25519').privatePem);
  const [root, serving, operator] = [newKey(), newKey(), newKey()];
  const person = (id: string, roles: Authority['roles'], pem: string): Authority => ({
    ...{ id, kind: 'person' as const, roles, keys: [{ pem }] },
  });
  const others = (
    ['release-approver', 'operator', 'override-authority', 'security-authority', 'reviewer'] as const
  ).flatMap((role) => [1, 2].map((at) => person(`${role}-${at}`, [role], newKey().pem)));
  const authorities: Authority[] = [
    person('root', ['root'], root.pem),
    ...others,
    person('olga', ['operator'], operator.pem),
    { id: 'serving', kind: 'workload', roles: ['serving'], keys: [{ pem: serving.pem }] },
  ];
  const suites = [{ suite: 'bench', version: '1.0.0', sha256: sha256('the suite'), minimumCases: 20 }];
  const policy = developmentPolicy('bench', authorities, suites);
  const now = Date.now();
  const times = { issuedAt: isoTime(now), expiresAt: isoTime(now + HOUR_MS) };
  const documents = models.map((model): RoutingDocument => ({
    ...{ environment: 'bench', model, revision: 1, previous: null, change: 'plan', releases: releasesOf(model) },
    ...{ plan: { request: sha256('request'), step: 0 }, triggers: policy.rollout.triggers, lifted: [], restore: null },
    ...{ policy: policyDigest(policy), issuedAt: times.issuedAt },
  }));
  const status = { environment: 'bench', version: now, ...times, revoked: [], kills: [] };
  return {
    operator,
    root: { environment: 'bench', rootKeys: [root.pem], threshold: 1 },
    durable: {
      policies: [signPolicy(policy, [root])],
      status: { digest: sha256('status'), predicate: status },
      routes: documents.map((document) => ({
        ...{ head: { digest: sha256(`document of ${document.model}`), document }, inForce: document, baked: null },
      })),
      orders: [],
      breaches: [],
    },
    replicas: documents.flatMap(({ model, releases }) =>
      releases.map(({ release, version }) =>
        signStatement(
          'replica',
          { name: `lifecycle/${model}/${version}`, sha256: release },
          { environment: 'bench', model, version, host: '127.0.0.1', port, ...times },
          [serving],
        ),
      ),
    ),
  };
}

function releasesOf(model: string): RouteEntry[] {
  return ['1.1.0', '1.0.0'].map((version) => ({ release: sha256(`${model} ${version}`), version, weight: 50 }));
}
