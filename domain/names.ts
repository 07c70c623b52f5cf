import { isDigest, type Digest } from './digest.js';
import { CustodyError } from './errors.js';

/** The sets of worker processes, each with one task queue of the same name and credentials of its own. */
export const ZONES = ['control', 'intake', 'signing', 'serving', 'training', 'watch'] as const;
export type Zone = (typeof ZONES)[number];

export function isZone(value: string): value is Zone {
  return (ZONES as readonly string[]).includes(value);
}

const MODEL = /^[a-z0-9][a-z0-9-]{0,62}$/;
// SemVer 2.0.0 without build metadata: two versions that differ only in metadata would be equal in precedence.
const VERSION =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)){0,7})?$/;

export function isModelName(value: string): boolean {
  return MODEL.test(value);
}

export function isVersion(value: string): boolean {
  return value.length <= 64 && VERSION.test(value);
}

export function assertModelName(value: string): void {
  if (!isModelName(value)) {
    throw new CustodyError(
      'USAGE',
      `model name ${JSON.stringify(value.slice(0, 80))} is not valid: lower-case letters, digits and dashes, at most 63`,
    );
  }
}

export function assertVersion(value: string): void {
  if (!isVersion(value)) {
    throw new CustodyError(
      'VERSION_INVALID',
      `version ${JSON.stringify(value.slice(0, 80))} is not Semantic Versioning 2.0.0 (for example 1.4.0), without build metadata`,
    );
  }
}

const ID = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;

/** Of an authority, or a consumer. */
export function isId(value: string): boolean {
  return ID.test(value);
}

/** Ids that people would take for one another have one look: ids are ASCII, so that zero and one are what is left. */
export function lookOf(id: string): string {
  return id.replaceAll('0', 'o').replaceAll('1', 'l');
}

export interface ReleaseName {
  readonly model: string;
  readonly version: string;
}

export function lifecycleId({ model, version }: ReleaseName): string {
  return `lifecycle/${model}/${version}`;
}

export function endpointId(model: string): string {
  return `endpoint/${model}`;
}

export function trainingId(model: string, run: string): string {
  return `training/${model}/${run}`;
}

export function policyId(version: number): string {
  return `policy/${version}`;
}

export function resignId({ model, version }: ReleaseName): string {
  return `resign/${model}/${version}`;
}

export function promoteId({ model, version }: ReleaseName): string {
  return `promote/${model}/${version}`;
}

export function consumerId(consumer: string, sequence: number): string {
  return `consumer/${consumer}/${sequence}`;
}

/** Of the registration of data, by the digest of the statement about them. */
export function dataId(source: string, statement: Digest): string {
  return `data/${source}/${statement}`;
}

/** The inverse of `dataId`; `null` for any other id. */
export function parseDataId(id: string): { readonly source: string; readonly statement: Digest } | null {
  const [kind, source = '', statement, ...rest] = id.split('/');
  return kind === 'data' && isModelName(source) && isDigest(statement) && rest.length === 0
    ? { source, statement }
    : null;
}

export function holdId({ model, version }: ReleaseName): string {
  return `hold/${model}/${version}`;
}

export function liftId({ model, version }: ReleaseName): string {
  return `lift/${model}/${version}`;
}

export function alertId(model: string, alert: Digest): string {
  return `alert/${model}/${alert}`;
}

/** The model of an `alertId`; `null` for any other id. */
export function parseAlertId(id: string): string | null {
  const [kind, model = '', alert, ...rest] = id.split('/');
  return kind === 'alert' && isModelName(model) && isDigest(alert) && rest.length === 0 ? model : null;
}

/** The inverse of `consumerId`; `null` for any other id. */
export function parseConsumerId(id: string): { readonly consumer: string; readonly sequence: number } | null {
  const [, consumer = '', digits = ''] = /^consumer\/([^/]+)\/([1-9]\d{0,8})$/.exec(id) ?? [];
  return isId(consumer) ? { consumer, sequence: Number(digits) } : null;
}

/** The inverse of `policyId`; `null` for any other id. */
export function parsePolicyId(id: string): number | null {
  const [, digits] = /^policy\/([1-9]\d{0,8})$/.exec(id) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** The inverse of `resignId`; `null` for any other id. */
export function parseResignId(id: string): ReleaseName | null {
  return parseReleaseId('resign', id);
}

/** The inverse of `promoteId`; `null` for any other id. */
export function parsePromoteId(id: string): ReleaseName | null {
  return parseReleaseId('promote', id);
}

/** The inverse of `holdId`; `null` for any other id. */
export function parseHoldId(id: string): ReleaseName | null {
  return parseReleaseId('hold', id);
}

/** The inverse of `liftId`; `null` for any other id. */
export function parseLiftId(id: string): ReleaseName | null {
  return parseReleaseId('lift', id);
}

/** The inverse of `lifecycleId`; `null` for any other id. */
export function parseLifecycleId(id: string): ReleaseName | null {
  return parseReleaseId('lifecycle', id);
}

function parseReleaseId(kind: 'lifecycle' | 'resign' | 'promote' | 'hold' | 'lift', id: string): ReleaseName | null {
  const [found, model, version, ...rest] = id.split('/');
  if (found !== kind || model === undefined || version === undefined || rest.length > 0) return null;
  return isModelName(model) && isVersion(version) ? { model, version } : null;
}

/** A release as people write it: `<model>@<version>`. USAGE or VERSION_INVALID. */
export function parseReleaseName(given: string): ReleaseName {
  const [model = '', version = ''] = given.split(/@(.*)/s);
  assertModelName(model);
  assertVersion(version);
  return { model, version };
}

/** The same, for what somebody else has written; `null` where it is no such name. */
export function parseReleaseText(given: string): ReleaseName | null {
  const [model = '', version = ''] = given.split(/@(.*)/s);
  return isModelName(model) && isVersion(version) ? { model, version } : null;
}

/** The inverse of `endpointId`; `null` for any other id. */
export function parseEndpointId(id: string): string | null {
  const [kind, model, ...rest] = id.split('/');
  return kind === 'endpoint' && model !== undefined && rest.length === 0 && isModelName(model) ? model : null;
}
