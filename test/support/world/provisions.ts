import { lifecycleId } from '../../../domain/names.js';
import type { OverridePredicate, RiskAssessmentPredicate } from '../../../domain/provisional-predicates.js';
import type { RequestPredicate } from '../../../domain/statements.js';
import { plusSeconds } from '../../../domain/time.js';
import { nonce, type Organisation, type Signed, type Signers } from './organisation.js';
import type { Untried } from './releases.js';
import type { Words } from './words.js';

/** Why an emergency deployment cannot wait, as its requester says. */
export const ASSESSMENT = {
  what: 'closes the overflow in the tokenizer',
  whyNow: 'it is being exploited since this morning',
  risks: ['less accurate on small images'],
  mitigations: ['two people watch the dashboards'],
  rollbackPlan: 'back to the release before, at once',
} as const;

/** What makes a deployment provisional: overrides, risk assessments, reviews. */
export function createProvisions({ environment, at, statement }: Organisation, { request }: Words) {
  /** What control asks of override authorities. */
  function overrideRequest(
    { name, release, testResult, requester }: Untried,
    changes: Partial<RequestPredicate> = {},
    by: Signers = 'control',
  ): Signed<RequestPredicate> {
    return request(
      { name: lifecycleId(name), sha256: release },
      {
        ...name,
        workflowId: lifecycleId(name),
        release,
        action: { kind: 'override', failed: testResult.predicate.failedTests },
        evidence: { testResult: testResult.digest },
        requester,
        producer: 'trainer',
        ...changes,
      },
      by,
    );
  }

  /** Lifts all that has failed, for an hour. */
  function override(
    asked: Signed<RequestPredicate>,
    by: Signers = 'vera',
    changes: Partial<OverridePredicate> = {},
  ): Signed<OverridePredicate> {
    const { requestId, workflowId, release, action, evidence } = asked.predicate;
    const issuedAt = changes.issuedAt ?? at(-35);
    return statement(
      'override',
      { name: requestId, sha256: asked.digest },
      {
        requestId,
        nonce: nonce(),
        environment,
        workflowId,
        release: release ?? '',
        testResult: evidence['testResult'] ?? '',
        lifts: action.kind === 'override' ? action.failed : ['nothing'],
        justification: 'the held-out set is out of date, see the report',
        holdsUntil: plusSeconds(issuedAt, 3600),
        issuedAt,
        expiresAt: plusSeconds(issuedAt, 600),
        ...changes,
      },
      by,
    );
  }

  function assess(
    { name, release }: Pick<Untried, 'name' | 'release'>,
    by: Signers = 'rita',
    changes: Partial<RiskAssessmentPredicate> = {},
  ): Signed<RiskAssessmentPredicate> {
    const said = { environment, ...name, assessment: ASSESSMENT, issuedAt: at(-55), ...changes };
    return statement('riskAssessment', { name: lifecycleId(name), sha256: release }, said, by);
  }

  /** What control asks of reviewers, after this deployment. */
  function reviewRequest(
    deploy: Signed<RequestPredicate>,
    changes: Partial<RequestPredicate> = {},
    by: Signers = 'control',
  ): Signed<RequestPredicate> {
    const { model, version, workflowId, release, requester, producer } = deploy.predicate;
    const issuedAt = at(-20);
    return request(
      { name: workflowId, sha256: release ?? '' },
      {
        ...{ model, version, workflowId, release, requester, producer },
        action: { kind: 'review' },
        evidence: { ...deploy.predicate.evidence, deploy: deploy.digest },
        issuedAt,
        expiresAt: plusSeconds(at(-30), 3 * 86_400),
        ...changes,
      },
      by,
    );
  }

  return { overrideRequest, override, assess, reviewRequest };
}
