import { gatherRelease, progressOf } from '../adapters/dossier.js';
import type { Records } from '../adapters/records.js';
import { authoriseAsking } from '../domain/authorise.js';
import type { Digest } from '../domain/digest.js';
import { CustodyError } from '../domain/errors.js';
import type { Admission, Ingested, Validated } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { RequestPredicate, SignedEnvelope } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { demand, verifyRelease } from '../formats/evidence.js';

type GroundName = 'admission' | 'manifest' | 'bundle' | 'provenance' | 'testResult' | 'scan' | 'change';

/** What every request about a validated release rests on, by name. */
export function groundOf(
  admission: Admission,
  ingested: Ingested,
  validated: Validated,
): Readonly<Record<GroundName, Digest>>;
export function groundOf(
  admission: Admission | undefined,
  ingested: Ingested | undefined,
  validated: Validated | undefined,
): Readonly<Record<GroundName, Digest | undefined>>;
export function groundOf(
  admission?: Admission,
  ingested?: Ingested,
  validated?: Validated,
): Readonly<Record<GroundName, Digest | undefined>> {
  return {
    admission: admission?.request,
    manifest: ingested?.release,
    bundle: ingested?.bundle,
    provenance: ingested?.provenance,
    testResult: validated?.testResult,
    scan: ingested?.scan,
    change: ingested?.change,
  };
}

/** Before people are asked: all that the request names is there, and would be enough for whoever acts on their approval. */
export async function demandGround(records: Records, name: ReleaseName, request: SignedEnvelope): Promise<void> {
  const evidence = await gatherRelease(records, name, null, request);
  const { release, rules } = verifyRelease(evidence, records.root, isoTime(Date.now()));
  demand(authoriseAsking(release, rules));
}

/** An open request is void once the release rests on other documents than it names: people would decide on old ones. */
export async function demandUnchanged(records: Records, { model, version, ...asked }: RequestPredicate): Promise<void> {
  if (asked.action.kind !== 'deploy' || version === null) return;
  const { admission, ingested, validated, overridden } = await progressOf(records, { model, version });
  const now: Readonly<Record<string, string | undefined>> = {
    ...groundOf(admission, ingested, validated),
    override: overridden?.request,
    riskAssessment: admission?.riskAssessment,
    promotion: ingested?.promotion,
  };
  const changed = Object.keys(now).find((name) => asked.evidence[name] !== now[name]);
  if (changed !== undefined)
    throw new CustodyError('REPLAYED', `${asked.requestId} is void: the ${changed} is another one since it was made`);
}
