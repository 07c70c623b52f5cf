import { z } from 'zod';
import { gatherRelease } from '../../adapters/dossier.js';
import { gatherProvisional } from '../../adapters/provisions.js';
import { checkDecision } from '../../domain/approvals.js';
import { evidenceHolds, quorumReached, resultHolds } from '../../domain/authorise.js';
import { CustodyError } from '../../domain/errors.js';
import type { VerifiedOverride } from '../../domain/override.js';
import { parentOf } from '../../domain/parent.js';
import { holdsRole } from '../../domain/policy.js';
import { deployQuorum } from '../../domain/provisional.js';
import { testsOf } from '../../domain/report.js';
import type { ApprovalPredicate, Verified } from '../../domain/statements.js';
import { demand, signerOf, verifyProvisional, verifyRelease } from '../../formats/evidence.js';
import { checkShape, parseJson } from '../../formats/json.js';
import type { Examination } from './examination.js';

const MAX_REPORT_BYTES = 8 * 1024 * 1024;
const reportSchema = z.object({
  release: z.string(),
  accuracy: z.number().nullable(),
  results: z.array(
    z.object({
      id: z.string(),
      verdict: z.enum(['passed', 'failed', 'inconclusive']),
      says: z.string().nullable(),
      tolerated: z.boolean(),
    }),
  ),
});

/** Whether the candidate passed, with each case from the report that the test result names. */
export async function validation(exam: Examination): Promise<void> {
  const { ingested, validated } = exam.progress;
  if (ingested === undefined || validated === undefined) return exam.absent('validation');
  const checked =
    "the validator's signature, that it is about this release, of the policy's suite, and passed with enough cases";
  const result = await exam.check('validation', checked, async () => {
    const verified = await exam.statement('testResult', validated.testResult);
    exam.shown.testResult = verified;
    const made = exam.shown.provenance?.predicate;
    const tested = {
      release: ingested.release,
      model: exam.name.model,
      parent: made === undefined ? null : parentOf(made),
    };
    demand(resultHolds(tested, exam.rules, verified, await overrideOf(exam)));
    const { result: verdict, passedTests, failedTests } = verified.predicate;
    const says = `${verdict}: ${passedTests.length} cases passed, ${failedTests.length} failed`;
    return { value: verified, says, by: verified.signers, statement: verified.digest };
  });
  const verified = result ?? exam.shown.testResult;
  if (verified === undefined) return;
  const report = verified.predicate.configuration.find(({ name }) => name === 'report')?.digest.sha256;
  if (report === undefined) return exam.absent('cases', true);
  await exam.check(
    'cases',
    'the SHA-256 of the report, and that it says of each case what the test result says',
    async () => {
      const bytes = await exam.records.getBytes(report);
      const found = checkShape(
        reportSchema,
        parseJson(bytes, 'the report', { maxBytes: MAX_REPORT_BYTES }),
        'the report',
      );
      const { passedTests, warnedTests = [], failedTests } = verified.predicate;
      const said = testsOf(found.results.map((result) => ({ ...result, suite: '' })));
      const isSame =
        JSON.stringify([said.passedTests, said.warnedTests ?? [], said.failedTests]) ===
        JSON.stringify([passedTests, warnedTests, failedTests]);
      if (found.release !== ingested.release || !isSame)
        throw new CustodyError('DIGEST_MISMATCH', 'the report says something else than the test result that names it');
      exam.cases = found.results.map(({ id, verdict, says }) => ({
        id,
        failure: verdict === 'passed' ? null : (says ?? verdict),
      }));
      const failing = exam.cases.flatMap(({ id, failure }) => (failure === null ? [] : [`${id} (${failure})`]));
      const failed = failing.length === 0 ? '' : `; failed: ${failing.join(', ')}`;
      const says = `${found.results.length} criteria, accuracy ${found.accuracy ?? 'not measured'}${failed}`;
      return { value: null, says, by: verified.signers, statement: report };
    },
  );
}

/** What lifts a failed validation; `null` where nothing has failed. */
async function overrideOf({ progress, records, name }: Examination): Promise<VerifiedOverride | null> {
  const { overridden } = progress;
  if (overridden === undefined) return null;
  const evidence = await gatherProvisional(records, { ...name, evidence: { override: overridden.request } });
  return verifyProvisional(evidence, await records.policies()).override;
}

/** What people were asked to decide, and what each has decided. */
export async function decision(exam: Examination): Promise<void> {
  const { gate, approved } = exam.progress;
  const asked = approved?.request ?? gate?.request;
  if (asked === undefined) return exam.absent('request');
  const checked =
    "control's signature, and that it names this release, its start request, and every document of the evidence";
  const request = await exam.check('request', checked, async () => {
    const found = await exam.records.get('request', asked);
    exam.shown.request = found.verified;
    const evidence = await gatherRelease(exam.records, exam.name, null, found.envelope);
    const { release, rules } = verifyRelease(evidence, exam.records.root, exam.now);
    demand(evidenceHolds(release, rules));
    const { requestId, issuedAt, expiresAt } = found.verified.predicate;
    const says = `${requestId}, made at ${issuedAt}, open until ${expiresAt}`;
    const { signers, digest } = found.verified;
    return { value: found.verified, says, by: signers, statement: digest, policy: rules.gate.version };
  });
  if (approved === undefined) return exam.absent('approval');
  if (request === null) return exam.absent('approval', true);
  const approvals: Verified<ApprovalPredicate>[] = [];
  const { gate: rules } = exam.rules;
  const quorum = deployQuorum(rules, request.predicate) ?? rules.approvals.deploy;
  for (const digest of approved.approvals) {
    const about =
      'the signature, that it decides this request, in time, in the role, and by neither requester nor producer';
    const approval = await exam.check('approval', about, async () => {
      const verified = await exam.statement('approval', digest);
      const judged = checkDecision({ request, quorum, ...exam.rules }, verified);
      if ('code' in judged) throw new CustodyError(judged.code, judged.reason);
      const { decision: said, issuedAt, reason } = verified.predicate;
      const says = `${judged.approver}: ${said} at ${issuedAt}: ${reason}`;
      return { value: verified, says, by: verified.signers, statement: digest, policy: exam.rules.gate.version };
    });
    if (approval !== null) approvals.push(approval);
  }
  await exam.check('quorum', `${quorum.count} different people with the role ${quorum.role}`, () => {
    const approvers = demand(quorumReached(exam.rules, request, approvals, quorum));
    return { value: null, says: approvers.join(', '), by: approvers, policy: exam.rules.gate.version };
  });
}

/** Custody's own signature. */
export async function signature(exam: Examination): Promise<void> {
  const { signed } = exam.progress;
  const { manifest } = exam.shown;
  if (signed === undefined || manifest === undefined) return exam.absent('signature', signed !== undefined);
  const checked = `the OpenSSF model signature over ${manifest.manifest.files.length} files and the manifest`;
  await exam.check('signature', checked, async () => {
    const bundle = (await exam.records.getBytes(signed.signature)).toString('utf8');
    const { newest, gate } = exam.rules;
    const signer = signerOf(bundle, 'release-signer', newest, manifest.manifest, manifest.text);
    if (!holdsRole(gate, newest, signer, 'release-signer'))
      throw new CustodyError('NOT_AUTHORISED', `${signer} may not sign releases`);
    return { value: null, says: `signed by ${signer}`, by: [signer], statement: signed.signature };
  });
}
