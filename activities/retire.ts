import { certificateOf } from '../adapters/certificate.js';
import { vulnerabilityOf } from '../adapters/dossier.js';
import { erasedBy, signProbes, tryCiphertext } from '../adapters/probes.js';
import type { Records } from '../adapters/records.js';
import type { Digest } from '../domain/digest.js';
import type { Probe } from '../domain/ending-predicates.js';
import { CustodyError } from '../domain/errors.js';
import { leaving, type Retiring } from '../domain/fallback.js';
import type { Retirement } from '../domain/lifecycle.js';
import type { GatewayState } from '../domain/gateway.js';
import { lifecycleId, type ReleaseName } from '../domain/names.js';
import { withdraw } from '../domain/routing.js';
import { storeKeys } from '../domain/store-keys.js';
import { isoTime } from '../domain/time.js';
import { isEmergency } from '../domain/vulnerability.js';
import type { Desk } from './control.js';
import type { LifecycleControl } from './contract.js';
import { openAskedGate } from './gate.js';
import type { Entry } from './journal.js';
import { scanDependents } from './dependents.js';

type Retirements = Pick<LifecycleControl, 'openRetireGate' | 'withdrawRelease' | 'noteErasure' | 'probeGateways'>;

/** The end of a release: asked for, and taken out of service. */
export function createRetirement(desk: Desk): Retirements {
  const { records, journal, router } = desk;
  return {
    openRetireGate: (name, release, envelope) =>
      openAskedGate(desk, {
        kind: 'retire',
        envelope,
        workflowId: lifecycleId(name),
        subject: { ...name, release },
        check: async (request, rules) => {
          const { action, release: about } = request.predicate;
          if (about !== release) throw new CustodyError('REPLAYED', 'the request is about another release');
          const least = rules.newest.retirement.noticeSeconds;
          const vulnerability = (await vulnerabilityOf(records, name))?.verified ?? null;
          // It serves nobody any more, and nobody can keep it.
          if (isEmergency({ ...name, release, request, vulnerability }, rules)) return;
          if (action.kind === 'retire' && action.noticeSeconds < least)
            throw new CustodyError('POLICY_REFUSED', `the policy demands ${least} s of notice`);
          await scanDependents(desk, name, release, request, rules.newest);
        },
      }),

    withdrawRelease: async (name, release) => {
      const action = await agreedTo(records, name);
      const { newest } = await records.policies();
      return router.takeOut(name.model, release, (document) => {
        if (action === null) return withdraw(document, release);
        const intent = leaving(document, release, action, newest);
        // For people to see: where its callers could go is not coming back by itself.
        if ('allowed' in intent) throw new CustodyError('POLICY_REFUSED', `its callers stay with it: ${intent.reason}`);
        return intent;
      });
    },

    noteErasure: async (name, release) => journal.note(...(await erasureOf(records, name, release))),

    probeGateways: async (name, release, erased) => {
      const { request, blobs, environment } = (await erasedBy(records, name, release, erased)).predicate;
      const asked = await Promise.all(desk.gateways.map((gateway) => gateway.state()));
      const probes = asked.map((state, at) => {
        const path = `gateway ${at + 1} of ${asked.length}`;
        return { kind: 'gateway', path, ...knownTo(state, name, release) } as const;
      });
      // A replica that nobody announces any more is forgotten within seconds.
      const alive = probes.find(({ refused }) => !refused);
      if (alive !== undefined) throw new CustodyError('PENDING', `${alive.path}: ${alive.answer}`);
      const none = {
        kind: 'gateway',
        path: 'gateways',
        refused: true,
        answer: 'this control knows no gateway',
      } as const;
      const tried = [...(probes.length === 0 ? [none] : probes), await tryCiphertext(records.bucket, blobs)];
      const said = { environment, zone: 'control', request, blobs, probes: tried } as const;
      return records.keep(signProbes(name, release, said, desk.key));
    },
  };
}

/** Whether a gateway would bring anybody to the release: by its routes, or to a replica that any host has announced. */
function knownTo({ models }: GatewayState, { model }: ReleaseName, release: Digest): Pick<Probe, 'refused' | 'answer'> {
  const found = models.find((each) => each.model === model);
  const routed = found?.serving.find((each) => each.release === release);
  if (routed !== undefined) return { refused: false, answer: `revision ${found?.revision} still serves it` };
  const replica = found?.replicas.find((each) => each.release === release);
  if (replica !== undefined) return { refused: false, answer: `a replica answers at ${replica.host}:${replica.port}` };
  const since = found === undefined ? `it has no route of ${model}` : `revision ${found.revision} does not serve it`;
  return { refused: true, answer: `${since}, and no host announces a replica of it` };
}

/**
 * What the signing zone has done to a release, by its own statements: it has no way to the log. Both lower exposure, so they are
 * told of afterwards, with the time that they have.
 */
export async function erasureOf(records: Records, name: ReleaseName, release: Digest): Promise<Entry[]> {
  const now = isoTime(Date.now());
  const entry = (
    { signers, digest }: { readonly signers: readonly string[]; readonly digest: Digest },
    at: string,
  ): Pick<Entry, 'key' | 'actor' | 'subject' | 'after' | 'time'> => ({
    key: digest,
    actor: { id: signers.join(' and '), statement: digest },
    subject: { ...name, release },
    after: digest,
    time: at < now ? at : now,
  });
  const revocation = await records.find('revocation', storeKeys.revocation(release));
  if (revocation === null) return [];
  const { predicate: said, digest: revoked } = revocation.verified;
  const policy = await policyOf(records, name, said.request);
  const entries: Entry[] = [
    {
      ...entry(revocation.verified, said.issuedAt),
      ...{ change: 'release.revoked', before: said.request, policy, reason: said.reason },
    },
  ];
  const certificate = await certificateOf(records, name);
  if (certificate === null) return entries;
  const { verified } = await records.get('destruction', certificate);
  const { destroyed, kept, destroyedAt, method } = verified.predicate;
  const reason = `${method}: ${destroyed.length} keys destroyed, ${kept.length} files kept for other releases`;
  return [
    ...entries,
    { ...entry(verified, destroyedAt), ...{ change: 'keys.destroyed', before: revoked, policy, reason } },
  ];
}

/** Under which policy somebody asked for it; in an emergency nobody had to. */
async function policyOf(records: Records, name: ReleaseName, ground: Digest): Promise<Digest | null> {
  const vulnerability = await vulnerabilityOf(records, name);
  if (vulnerability?.verified.digest === ground) return null;
  return (await records.get('request', ground)).verified.predicate.policy;
}

/** What people have agreed to about its callers. `null`: nobody has been asked, or it must go wherever they go. */
async function agreedTo(records: Records, name: ReleaseName): Promise<Pick<Retiring, 'fallback'> | null> {
  const [retirement, condemned] = await Promise.all([
    records.record(storeKeys.record(name, 'retirement')) as Promise<Retirement | null>,
    records.record(storeKeys.record(name, 'condemned')),
  ]);
  if (retirement === null || condemned !== null) return null;
  const { action } = (await records.get('request', retirement.request)).verified.predicate;
  return action.kind === 'retire' ? action : null;
}
