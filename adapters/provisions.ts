import type { ProvisionalEvidence } from '../domain/evidence.js';
import type { Approved } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { RequestPredicate } from '../domain/statements.js';
import { storeKeys } from '../domain/store-keys.js';
import { genuineUnder } from './genuine.js';
import type { Records } from './records.js';

/** What a deploy request provisionally rests on, by what it names: the override with all its renewals, the emergency. */
export async function gatherProvisional(
  records: Records,
  { evidence, model, version }: Pick<RequestPredicate, 'evidence' | 'model' | 'version'>,
): Promise<ProvisionalEvidence> {
  const { override, riskAssessment } = evidence;
  return {
    override:
      override === undefined
        ? null
        : {
            request: (await records.get('request', override)).envelope,
            statements: (await genuineUnder(records, 'override', storeKeys.override(override, ''))).map(
              ({ envelope }) => envelope,
            ),
          },
    emergency:
      riskAssessment === undefined || version === null
        ? null
        : {
            assessment: (await records.get('riskAssessment', riskAssessment)).envelope,
            review: await reviewOf(records, { model, version }),
          },
  };
}

async function reviewOf(
  records: Records,
  name: ReleaseName,
): Promise<NonNullable<ProvisionalEvidence['emergency']>['review']> {
  const reviewed = (await records.record(storeKeys.record(name, 'reviewed'))) as Approved | null;
  if (reviewed === null) return null;
  const approvals = await Promise.all(reviewed.approvals.map((digest) => records.get('approval', digest)));
  return {
    request: (await records.get('request', reviewed.request)).envelope,
    approvals: approvals.map(({ envelope }) => envelope),
  };
}
