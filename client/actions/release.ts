import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { progressOf } from '../../adapters/dossier.js';
import { openHolds } from '../../adapters/holds.js';
import { drillReport } from '../../adapters/drill-runs.js';
import { lockReport } from '../../adapters/retention-runs.js';
import type { Digest } from '../../domain/digest.js';
import { shareOf } from '../../domain/endpoint.js';
import { CustodyError } from '../../domain/errors.js';
import type { LifecycleOutcome, NoticeStanding } from '../../domain/lifecycle.js';
import { assertModelName, assertVersion, endpointId, lifecycleId, type ReleaseName } from '../../domain/names.js';
import { parsePlan } from '../../formats/plan-schema.js';
import { askThroughApi, tokenIn } from '../api.js';
import { checkSource } from '../source.js';
import type { Custody } from '../connect.js';
import { endpointStatus, lifecycleStatus } from '../messages.js';
import { answer, faint, heading, plain, talk } from '../output.js';
import { provenanceBeside } from '../provenance.js';
import { checkLine, mayServe } from '../record/serving.js';
import { retriesOf } from '../retries.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';
import { askAs, startRelease, uiAddress, type Ask } from '../start.js';
import { readAssessment } from './override.js';
import { howTo } from './shown.js';

const POLL_MS = 500;

interface ReleaseOptions {
  readonly emergency?: string;
  readonly plan?: string;
  readonly bundle: string;
  readonly provenance?: string;
  readonly promotion?: string;
  readonly key?: string;
  readonly api?: string;
  readonly tokenEnv?: string;
  readonly wait?: true;
}

export async function release(session: ConnectedSession, folder: string, options: ReleaseOptions): Promise<void> {
  const ask = await askerOf(session, options);
  const { bundle, provenance = provenanceBeside(bundle), promotion } = options;
  const source = { folder, bundle, provenance, ...(promotion === undefined ? {} : { promotion }) };
  await checkSource(session.custody, source);
  const plan = options.plan === undefined ? null : parsePlan(readFileSync(options.plan, 'utf8'), options.plan);
  const started = await startRelease(session.custody, ask, source, plan);
  if (started.outcome !== null) throw endedAs(started.outcome, `${started.model} ${started.version} has ended`);
  const result = options.wait === true ? await inService(session.custody, started) : {};
  answer(session, { ...started, ...result }, [
    `${started.state === 'running' ? 'runs already' : 'started'}: ${started.workflowId}`,
    `watch it: ${started.ui}`,
    ...('stage' in result ? [`stage: ${String(result.stage)}`] : []),
  ]);
}

export async function status(session: ConnectedSession, model: string, version?: string): Promise<void> {
  if (version === undefined) return showEndpoint(session, model);
  const name = named(model, version);
  const status = await lifecycleStatus(session.custody, name);
  const { gate, stage, missing, progress } = status;
  const { records } = session.custody;
  const { ingested } = progress;
  const holds = ingested === undefined ? [] : await openHolds(records, { ...name, release: ingested.release });
  const retries = await retriesOf(session.custody, lifecycleId(name));
  const trouble = [...status.trouble, ...retries, ...(await lockReport(records)).troubles];
  answer(session, { ...status, trouble, holds: holds.map(({ digest }) => digest) }, [
    heading(`${model} ${version}: ${stage}`),
    ...(progress.ingested === undefined ? [] : [`release digest ${progress.ingested.release}`]),
    ...(gate === null
      ? []
      : [
          `waits for ${missing} × ${gate.role} until ${gate.expiresAt}: ${howTo({ workflowId: lifecycleId(name), gate })} --key <file>`,
        ]),
    ...noticeLines(status.notice),
    ...(status.proviso === null ? [] : [`stands until ${status.proviso.until}, or ${plain(status.proviso.why)}`]),
    ...holds.map(({ signers, predicate }) => plain(`held by ${signers.join(' and ')}: ${predicate.reason}`)),
    ...trouble.map((problem) => `trouble: ${plain(problem)}`),
    faint(uiAddress(session.custody, lifecycleId(name))),
  ]);
}

function noticeLines(notice: NoticeStanding | null): string[] {
  if (notice === null) return [];
  const { awaited, endsAt } = notice;
  return [
    `retires at ${endsAt}`,
    ...awaited.map((consumer) =>
      plain(`${consumer} must acknowledge that first: custody notice acknowledge, or waive`),
    ),
  ];
}

export async function verifyRelease(session: ConnectedSession, model: string, version: string): Promise<void> {
  const { records } = session.custody;
  const name = named(model, version);
  const { ingested } = await progressOf(records, name);
  if (ingested === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${model} ${version}`);
  const { release, approvers, checks } = await toServe(session, name, ingested.release);
  const { requester } = release.request.predicate;
  const facts = {
    release: release.release,
    requester,
    producer: release.producer,
    approvers,
    signer: release.signer,
  };
  answer(session, { ...name, ...facts, tests: release.testResult.predicate, checks }, [
    heading(`${model} ${version} may serve`),
    ...checks.map((check) => plain(checkLine(check))),
    `release digest ${release.release}`,
    `asked for by ${requester}, produced by ${release.producer}, signed by ${release.signer ?? ''}`,
    `approved by ${approvers.join(', ')}`,
    `validation: ${release.testResult.predicate.result}, ${release.testResult.predicate.passedTests.length} cases`,
  ]);
}

/** Where one check fails, all of them are told. */
async function toServe(
  session: ConnectedSession,
  name: ReleaseName,
  release: Digest,
): Promise<Awaited<ReturnType<typeof mayServe>>> {
  try {
    return await mayServe(session.custody.records, name, release);
  } catch (error) {
    const checks = error instanceof CustodyError ? error.details['checks'] : undefined;
    if (!session.json && Array.isArray(checks)) for (const line of checks) talk(plain(String(line)));
    throw error;
  }
}

/** Who asks: the holder of a key, or of a token. */
async function askerOf(session: ConnectedSession, { emergency, key, api, tokenEnv }: ReleaseOptions): Promise<Ask> {
  const assessment = emergency === undefined ? null : readAssessment(emergency);
  if (key !== undefined && api === undefined && tokenEnv === undefined)
    return askAs(await signerOf(session, key), assessment);
  if (assessment !== null)
    throw new CustodyError(
      'USAGE',
      'a person asks for an emergency deployment, and signs its risk assessment: use --key',
    );
  if (key === undefined && api !== undefined && tokenEnv !== undefined)
    return askThroughApi(session.custody, api, tokenIn(tokenEnv));
  throw new CustodyError('USAGE', 'say who asks: either --key, or --api with --token-env');
}

function named(model: string, version: string): ReleaseName {
  assertModelName(model);
  assertVersion(version);
  return { model, version };
}

/** Waits until the release serves or has been refused. Refusals are POLICY_REFUSED, or what they were refused with. */
async function inService(custody: Custody, name: ReleaseName): Promise<{ readonly stage: string }> {
  for (;;) {
    const { stage, progress } = await lifecycleStatus(custody, name);
    if (stage === 'in service') return { stage };
    const { outcome } = progress;
    if (stage === 'ended' && outcome !== undefined) throw endedAs(outcome);
    await setTimeout(POLL_MS);
  }
}

function endedAs(outcome: LifecycleOutcome, what?: string): CustodyError {
  const how = `${outcome.kind}${'reason' in outcome ? `: ${outcome.reason}` : ''}`;
  return new CustodyError(
    'code' in outcome ? outcome.code : 'POLICY_REFUSED',
    what === undefined ? how : `${what}, ${how}. A version is used once: give the release the next one`,
  );
}

async function showEndpoint(
  session: { readonly custody: Custody; readonly json: boolean },
  model: string,
): Promise<void> {
  assertModelName(model);
  const status = await endpointStatus(session.custody, model);
  const { serving, killedBy, revision, rollout, gate, missing } = status;
  const drills = await drillReport(session.custody.records);
  const ofDrills = drills.rules?.model === model ? drills.troubles : [];
  const retries = await retriesOf(session.custody, endpointId(model));
  const ofLocks = (await lockReport(session.custody.records)).troubles;
  const trouble = [...status.trouble, ...retries, ...ofLocks, ...ofDrills];
  answer(session, { ...status, trouble }, [
    heading(
      `${model}: ${killedBy.length > 0 ? 'killed' : rollout === null ? 'steady' : `rolling out ${rollout.order.version}`}`,
    ),
    `revision ${revision}`,
    ...serving.map(
      (entry) => `${shareOf(entry, rollout).padStart(7)}  ${entry.version}  ${entry.release.slice(0, 12)}`,
    ),
    ...killedBy.map((order) => `killed by order ${order.slice(0, 12)}`),
    ...(gate === null ? [] : [`waits for ${missing} × ${gate.role}: custody approve ${gate.requestId} --key <file>`]),
    ...trouble.map((problem) => `trouble: ${plain(problem)}`),
  ]);
}
