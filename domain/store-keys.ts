import type { Digest } from './digest.js';
import type { ReleaseName } from './names.js';

/** Where things lie in the `<env>-custody` bucket: built here and nowhere else. */
const digits = (value: number, width: number): string => String(value).padStart(width, '0');

export const storeKeys = {
  blob: (id: string): string => `blobs/${id}`,
  manifest: (release: Digest): string => `manifests/${release}`,
  facts: (digest: Digest): string => `facts/${digest}`,
  version: ({ model, version }: ReleaseName): string => `versions/${model}/${version}`,
  request: (digest: Digest): string => `requests/${digest}`,
  statement: (digest: Digest): string => `statements/${digest}`,
  /** What a release's stage ended with; the name is the stage's part of `Progress`. */
  record: (name: ReleaseName, part: string): string => `${storeKeys.recordsOf(name)}${part}`,
  recordsOf: ({ model, version }: ReleaseName): string => `records/${model}/${version}/`,
  /** The beginning of the keys of all records of a model. */
  records: (model: string): string => `records/${model}/`,
  recordsOfAll: 'records/',
  /** A later release signature, by the time it was made: the newest one that is valid counts. */
  resigned: (name: ReleaseName, atMs: number, signature: Digest): string =>
    `${storeKeys.resignedOf(name)}${digits(atMs, 15)}-${signature}`,
  resignedOf: (name: ReleaseName): string => `${storeKeys.recordsOf(name)}resigned/`,
  /** The verification summary that was made on a request. */
  promotion: (name: ReleaseName, request: Digest): string => `${storeKeys.recordsOf(name)}promotions/${request}`,
  /** Of a retirement: notices to those who appeared later, what was answered, and which reminders were sent. */
  laterNotice: (name: ReleaseName, statement: Digest): string => `${storeKeys.laterNoticesOf(name)}${statement}`,
  laterNoticesOf: (name: ReleaseName): string => `${storeKeys.recordsOf(name)}notices/`,
  acknowledgement: (name: ReleaseName, statement: Digest): string =>
    `${storeKeys.acknowledgementsOf(name)}${statement}`,
  acknowledgementsOf: (name: ReleaseName): string => `${storeKeys.recordsOf(name)}acknowledgements/`,
  waiver: (name: ReleaseName, statement: Digest): string => `${storeKeys.waiversOf(name)}${statement}`,
  waiversOf: (name: ReleaseName): string => `${storeKeys.recordsOf(name)}waivers/`,
  /** What depended on it when its retirement was asked for. */
  dependents: (name: ReleaseName, request: Digest): string => `${storeKeys.recordsOf(name)}dependents/${request}`,
  reminder: (name: ReleaseName, at: string): string => `${storeKeys.recordsOf(name)}reminders/${at}`,
  /** That the end of a release is announced to callers: the same notices, of all models, by when each was given. */
  notice: (model: string, release: Digest, atMs: number, statement: Digest): string =>
    `${storeKeys.notices}${model}/${release}/${digits(atMs, 15)}-${statement}`,
  notices: 'notices/',
  /** A legal hold, and the approved request that ended it. */
  hold: (release: Digest, hold: Digest): string => `${storeKeys.holdsOf(release)}${hold}`,
  holdsOf: (release: Digest): string => `holds/${release}/`,
  lift: (release: Digest, hold: Digest, request: Digest): string => `${storeKeys.liftsOf(release, hold)}${request}`,
  liftsOf: (release: Digest, hold: Digest): string => `lifts/${release}/${hold}/`,
  /** What one run that extends locks has found, by the time it began. */
  retention: (atMs: number): string => `${storeKeys.retentions}${digits(atMs, 15)}`,
  retentions: 'records/retention/runs/',
  /** What a drill has shown, by the time it began; and what it has ordered, by its run. */
  drill: (atMs: number): string => `${storeKeys.drills}${digits(atMs, 15)}`,
  drills: 'records/drills/runs/',
  drillOrder: (run: string, step: string): string => `records/drills/orders/${run}/${step}`,
  nonce: (nonce: string): string => `nonces/${nonce}`,
  policy: (version: number): string => `policies/${digits(version, 9)}`,
  /** `beside`: how many objects that are no routing document have taken the places before it. */
  route: (model: string, revision: number, beside = 0): string =>
    `routes/${model}/${digits(revision, 9)}${beside === 0 ? '' : `-${digits(beside, 9)}`}`,
  /** The approvals a routing document rests on, by the document's digest. */
  grounds: (route: Digest): string => `records/routes/${route}`,
  /** What people said after a step that pauses, by the digest of the document that goes on. */
  proceed: (route: Digest): string => `records/proceeds/${route}`,
  /** The gate after a step that pauses, by the request of its plan and the step that would begin. */
  stepGate: (deploy: Digest, step: number): string => `records/steps/${deploy}/${digits(step, 2)}`,
  /** That a kill order was lifted, by the document of this revision. */
  lifted: (model: string, order: Digest, revision: number): string =>
    `${storeKeys.liftedOf(model, order)}${digits(revision, 9)}`,
  liftedOf: (model: string, order: Digest): string => `records/lifted/${model}/${order}/`,
  /** That data were registered, by the name of their source and the digest of the statement about them. */
  data: (source: string, statement: Digest): string => `${storeKeys.dataOf(source)}${statement}`,
  dataOf: (source: string): string => `records/data/${source}/`,
  /** That something was made from a commit: the provenance that says so. */
  code: (repository: string, commit: string): string => `${storeKeys.codeOf(repository)}${commit}`,
  codeOf: (repository: string): string => `records/code/${repository}/`,
  /** What reviewers have said of a commit. */
  review: (repository: string, commit: string, statement: Digest): string =>
    `${storeKeys.reviewsOf(repository, commit)}${statement}`,
  reviewsOf: (repository: string, commit: string): string => `reviews/${repository}/${commit}/`,
  /** The files of data or code, by what their list hashes to. */
  fileList: (digest: Digest): string => `lists/${digest}`,
  kill: (model: string, order: Digest): string => `kills/${model}/${order}`,
  revocation: (release: Digest): string => `revocations/${release}`,
  status: (version: number): string => `status/${digits(version, 15)}`,
  /** What override authorities say to one request, renewals too. */
  override: (request: Digest, statement: Digest): string => `overrides/${request}/${statement}`,
  /** By digest, too, so that what somebody else puts there takes no number. */
  consumer: (consumer: string, sequence: number, statement: Digest): string =>
    `${storeKeys.consumers}${consumer}/${digits(sequence, 9)}-${statement}`,
  consumers: 'consumers/',
} as const;

export function bucketNames(environment: string): { custody: string; audit: string; log: string; intake: string } {
  return {
    custody: `${environment}-custody`,
    audit: `${environment}-audit`,
    log: `${environment}-log`,
    intake: `${environment}-intake`,
  };
}
