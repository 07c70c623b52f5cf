import { expect } from 'vitest';
import { authoriseRoute } from '../../domain/authorise-route.js';
import { authoriseLoading, authoriseSigning, type Permission, type Rules } from '../../domain/authorise.js';
import { authoriseDestruction } from '../../domain/authorise-retirement.js';
import type { ErrorCode } from '../../domain/errors.js';
import type { ReleaseEvidence, RetirementEvidence, RouteDelivery } from '../../domain/evidence.js';
import {
  rulesFor,
  verifyPolicies,
  verifyProceed,
  verifyProvisional,
  verifyRelease,
  verifyRetirement,
} from '../../formats/evidence.js';
import { keyRing, verifyStatement } from '../../formats/statements.js';
import type { Route, World } from './world.js';

/** What the acting processes decide over what the world has made, each from the pinned root on. */
export function verdictsOf(world: World, now: string = world.at(0)) {
  return {
    signing: (evidence: ReleaseEvidence): Permission => {
      const { release, rules } = verifyRelease(evidence, world.root, now);
      return authoriseSigning(release, rules);
    },
    loading: (evidence: ReleaseEvidence): Permission => {
      const { release, rules, status } = verifyRelease(evidence, world.root, now);
      return authoriseLoading(release, rules, status);
    },
    destruction: (evidence: RetirementEvidence): Permission => {
      const { retirement, rules } = verifyRetirement(evidence, world.root, now);
      return authoriseDestruction(retirement, rules);
    },
    route: (
      current: Pick<Route, 'digest' | 'document'> | null,
      delivery: RouteDelivery,
      baked: string | null = null,
      over: Partial<Rules> = {},
    ): Permission => {
      const policies = verifyPolicies(world.root, delivery.policies);
      const ring = keyRing(policies.newest);
      const next = verifyStatement(delivery.document, 'route', ring);
      const request = delivery.request === null ? null : verifyStatement(delivery.request, 'request', ring);
      const approvals = delivery.approvals.map((approval) => verifyStatement(approval, 'approval', ring));
      const { newest } = policies;
      const rules =
        request === null
          ? { environment: world.environment, gate: newest, newest, now }
          : rulesFor(policies, request, now);
      const rests = {
        proceed: verifyProceed(delivery.proceed, policies),
        ...verifyProvisional(delivery.provisional, policies),
        kills: delivery.kills.map((kill) => verifyStatement(kill, 'kill', ring)),
      };
      const { isNewest } = delivery;
      return authoriseRoute({ current, next, request, approvals, ...rests, isNewest, baked }, { ...rules, ...over });
    },
  };
}

/** Matches a denial with this code whose reason says this. */
export function denial(code: ErrorCode, reason: RegExp): unknown {
  return { allowed: false, code, reason: expect.stringMatching(reason) as string };
}
