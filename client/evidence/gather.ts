import type { Records } from '../../adapters/records.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import { dependenciesOf } from '../../domain/provenance.js';
import type { ProvenancePredicate } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { examine } from '../record/record.js';
import type { Examination } from '../record/examination.js';
import { decisionsOf, quorumsOf } from './decisions.js';
import { gatherDocuments, type Documents } from './documents.js';
import type { Facts } from './facts.js';
import type { Evidence } from './model.js';
import { REQUIREMENTS } from './requirements/all.js';
import { routesOf } from './routes.js';
import { stepsOf } from './steps.js';
import { digestsOf, lifeOf, timelineOf, type LogEntry, type LogExcerpt } from './timeline.js';

/** Where everything is read from: the same whether that is a running stack or a dossier that somebody was given. */
export interface Sources {
  readonly records: Records;
  readonly log: LogExcerpt;
  /** The auditor who has made the dossier. */
  readonly by: string;
}

export interface Gathered {
  readonly evidence: Evidence;
  /** The records of the log that it rests on. */
  readonly entries: readonly LogEntry[];
  /** For what else is made of it. */
  readonly exam: Examination;
}

/**
 * Examines a release and everything around it, and checks each requirement. What it answers is decided by the sources alone, so
 * that whoever has the same can make the same. INPUT_MISSING: there is no such release.
 */
export async function evidenceOf({ records, log, by }: Sources, name: ReleaseName): Promise<Gathered> {
  const exam = await examine(records, name);
  const { policies, progress, now } = exam;
  const release = progress.ingested?.release ?? null;
  const documents = await gatherDocuments(records, policies, { ...name, release });
  const routes = await routesOf(records, policies, documents, { model: name.model, release });
  await gatherReviews(documents, exam);
  await gatherCheckpoints(documents, exam.shown.provenance?.predicate ?? null, name.model);
  const data = await gatherData(documents, exam.shown.provenance?.predicate ?? null, name.model);
  const life = { ...name, release, routes, data, by, at: now };
  const entries = lifeOf(log, life);
  for (const { record } of entries)
    for (const digest of digestsOf(record)) await documents.addDigest(digest, name.model);
  for (const { verified } of documents.of('destruction'))
    for (const { statement } of verified.predicate.probed) await documents.addDigest(statement, name.model);
  const steps = stepsOf(routes, { release, entries, documents, policies });
  const quorums = quorumsOf(documents, policies);
  const facts: Facts = {
    ...{ name, release, by, now, lines: exam.lines, progress, policies, documents, entries, routes, steps, quorums },
    manifest: exam.shown.manifest?.manifest ?? null,
    provenance: exam.shown.provenance?.predicate ?? null,
    nonces: await noncesOf(records, documents),
  };
  const triggers = routes.findLast(({ document }) => document.triggers !== null)?.document.triggers ?? null;
  const { origin, size, root } = log;
  const evidence: Evidence = {
    schema: 'https://custody.dev/evidence/v1',
    ...{ environment: records.environment, ...name, release, madeAt: now, madeBy: by, log: { origin, size, root } },
    standing: standingOf(exam),
    lines: exam.lines.map((line) => ({ ...line, by: [...line.by] })),
    cases: [...exam.cases],
    timeline: timelineOf(entries, life, documents),
    decisions: decisionsOf(documents, policies),
    quorums,
    limits:
      triggers === null
        ? null
        : {
            minimumSamples: triggers.minimumSamples,
            maxErrorRate: triggers.maxErrorRate,
            maxLatencyMs: triggers.maxLatencyMs,
          },
    steps,
    requirements: REQUIREMENTS.map(({ id, level, text, check }) => ({ id, level, text, ...check(facts) })),
    documents: documents.all,
  };
  return { evidence, entries, exam };
}

/** What reviewers said of the code it was trained with, and of its prompts. */
async function gatherReviews(documents: Documents, { shown, progress, name }: Examination): Promise<void> {
  const provenance = shown.provenance?.predicate;
  const code = provenance === undefined ? [] : dependenciesOf(provenance, 'training-code');
  const scan = documents.stated('scan', progress.ingested?.scan ?? '');
  const reviews = [...code.flatMap((each) => each.reviews ?? []), ...(scan?.predicate.prompts?.from?.reviews ?? [])];
  for (const review of reviews) await documents.addDigest(review, name.model);
}

/** What says of each stage of its training how it was made: the last one names the one before, and so on. */
async function gatherCheckpoints(
  documents: Documents,
  provenance: ProvenancePredicate | null,
  model: string,
): Promise<void> {
  for (let made = provenance; made !== null;) {
    const statement = dependenciesOf(made, 'checkpoint')[0]?.statement;
    if (statement === undefined || documents.has(statement)) return;
    await documents.addDigest(statement, model);
    made = documents.stated('provenance', statement)?.predicate ?? null;
  }
}

/** What vouches for the data it was trained on, and the handovers behind that; answers the statements. */
async function gatherData(
  documents: Documents,
  provenance: ProvenancePredicate | null,
  model: string,
): Promise<readonly Digest[]> {
  const sets = provenance === null ? [] : dependenciesOf(provenance, 'training-data');
  const statements = sets.flatMap(({ statement }) => statement ?? []);
  for (const statement of statements) {
    await documents.addDigest(statement, model);
    for (const link of documents.stated('dataSource', statement)?.predicate.chain ?? [])
      await documents.addDigest(link, model);
  }
  return statements;
}

async function noncesOf(records: Records, documents: Documents): Promise<Facts['nonces']> {
  const found = new Map<string, { readonly statement: string; readonly request: string } | null>();
  for (const { verified } of documents.of('approval')) {
    const { nonce } = verified.predicate;
    const used = await records.record(storeKeys.nonce(nonce));
    found.set(nonce, isUse(used) ? used : null);
  }
  return found;
}

function isUse(value: unknown): value is { readonly statement: string; readonly request: string } {
  const { statement, request } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof statement === 'string' && typeof request === 'string';
}

function standingOf({ progress, lines }: Examination): string {
  const { outcome, rollout, signed, approved, validated, ingested } = progress;
  if (outcome !== undefined) return outcome.kind;
  if (rollout?.kind === 'promoted') {
    const serving = lines.find(({ part }) => part === 'serving');
    return serving?.state === 'holds' ? 'in service' : 'rolled out';
  }
  if (rollout !== undefined) return rollout.kind;
  if (signed !== undefined) return 'being rolled out';
  if (approved !== undefined) return 'approved';
  if (validated !== undefined) return 'validated';
  return ingested === undefined ? 'asked for' : 'taken in';
}

/** Whoever is asked for what nobody has. */
export function assertCovers(log: LogExcerpt, entries: readonly LogEntry[]): void {
  const wanted = new Set(entries.map(({ index }) => index));
  const stray = log.entries.find(({ index }) => !wanted.has(index));
  if (stray !== undefined)
    throw new CustodyError('DIGEST_MISMATCH', `record ${stray.index} of the log is not of this release`, {
      details: { index: stray.index },
    });
}
