import { cp, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createValidateActivities, type ValidateDependencies } from '../../activities/validate.js';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import { provenanceBeside } from '../../client/provenance.js';
import type { Digest } from '../../domain/digest.js';
import type { Ingested, Validated } from '../../domain/lifecycle.js';
import type { ReleaseName } from '../../domain/names.js';
import { parentDependency, type Parent } from '../../domain/parent.js';
import type { Policy, SuiteRule } from '../../domain/policy.js';
import type { ValidationReport } from '../../domain/report.js';
import type { TestResultPredicate } from '../../domain/statements.js';
import { storeKeys } from '../../domain/store-keys.js';
import { canonicalBytes } from '../../formats/jcs.js';
import { sha256 } from '../../formats/sha256.js';
import { parseSuite } from '../../formats/suite.js';
import { createIntake, provenanceOf, signPacked, type Intake } from '../unit/ingest/intake.js';

/** The rule that fixes a suite, by its bytes. */
export function ruleOf(bytes: Buffer, thresholds: Partial<SuiteRule> = {}): SuiteRule {
  const { suite, version } = parseSuite(bytes);
  return { suite, version, sha256: sha256(bytes), minimumCases: 1, ...thresholds };
}

/** An intake whose policy fixes these suites; they, and what they name, lie in WORM. */
export async function intakeWith(
  suites: readonly SuiteRule[],
  documents: readonly Buffer[],
  validation: Partial<Policy['validation']> = {},
  change: (policy: Policy) => Policy = (policy) => policy,
): Promise<Intake> {
  const intake = await createIntake((policy) =>
    change({
      ...policy,
      // Who has reviewed a prompt is another matter than what it does.
      artifacts: { ...policy.artifacts, allowUnreviewedPrompts: true },
      validation: { timeoutSeconds: 60, ...validation, suites },
    }),
  );
  for (const bytes of documents) await intake.records.keepBytes(bytes);
  return intake;
}

export interface Attempt extends Partial<Omit<ValidateDependencies, 'records' | 'validatorKey'>> {
  readonly parent?: Parent;
  /** Under which it is asked for, where that is not the first. */
  readonly policy?: Digest;
  /** What control says of its ingestion where that is not so. */
  readonly ingested?: Partial<Ingested>;
  /** Happens between ingestion and validation. */
  readonly meanwhile?: () => Promise<unknown>;
}

/** Ingests a release as its producer signed it, and then validates it, as the intake zone does. */
export async function validate(
  { world, records, vault, admit, ingest }: Intake,
  packed: PackedRelease,
  { parent, policy, ingested: said, meanwhile, ...options }: Attempt = {},
): Promise<Validated> {
  const name = nameOf(packed);
  const folder = await mkdtemp(join(tmpdir(), 'cv-'));
  const bundle = join(folder, 'release.sig.json');
  await writeFile(bundle, signPacked(world, packed));
  const made = provenanceOf(world, packed, 'trainer', {
    provenance: (usual) => {
      const { buildDefinition } = usual;
      const dependencies = [
        ...buildDefinition.resolvedDependencies,
        ...(parent === undefined ? [] : [parentDependency(parent)]),
      ];
      return { ...usual, buildDefinition: { ...buildDefinition, resolvedDependencies: dependencies } };
    },
  });
  await writeFile(provenanceBeside(bundle), canonicalBytes(made));
  const admission = await admit(name, packed.folder, bundle, policy);
  const ingested = { ...(await ingest(name, admission)), ...said };
  await meanwhile?.();
  const { validate: act } = createValidateActivities({
    records,
    vault,
    validatorKey: world.keys.intake,
    work: await mkdtemp(join(folder, 'w-')),
    ...options,
  });
  const environment = new MockActivityEnvironment(undefined, { logger: new DefaultLogger('ERROR') });
  const validated: Validated = await environment.run(act, name, admission, ingested);
  // As control would, so that later releases find it.
  for (const [part, value] of Object.entries({ admission, ingested, validated }))
    await records.recordOnce(storeKeys.record(name, part), value);
  return validated;
}

export function nameOf({ manifest: { model, version } }: PackedRelease): ReleaseName {
  return { model, version };
}

/** A release with some files replaced or added to its serving component, packed anew. */
export async function changed(
  { manifest, folder: from }: PackedRelease,
  version: string,
  files: Readonly<Record<string, string | Buffer>>,
  model = manifest.model,
): Promise<PackedRelease> {
  const folder = await mkdtemp(join(tmpdir(), 'cv-changed-'));
  await cp(from, folder, { recursive: true });
  for (const [path, bytes] of Object.entries(files)) await writeFile(join(folder, path), bytes);
  const known = new Set(manifest.files.map(({ path }) => path));
  const added = Object.keys(files).filter((path) => !known.has(path));
  const components = manifest.components.map((component) =>
    component.name === 'serving' ? { ...component, files: [...component.files, ...added] } : component,
  );
  return packRelease(folder, { ...manifest, components, model, version });
}

/** A release with some files called otherwise, packed anew. */
export async function renamed(
  { manifest, folder: from }: PackedRelease,
  version: string,
  names: Readonly<Record<string, string>>,
): Promise<PackedRelease> {
  const folder = await mkdtemp(join(tmpdir(), 'cv-renamed-'));
  await cp(from, folder, { recursive: true });
  for (const [path, name] of Object.entries(names)) await rename(join(folder, path), join(folder, name));
  const components = manifest.components.map((component) => ({
    ...component,
    files: component.files.map((path) => names[path] ?? path),
  }));
  return packRelease(folder, { ...manifest, components, version });
}

/** A file of a release with a piece of it replaced, which must be there. */
export async function edited({ folder }: PackedRelease, path: string, from: string, to: string): Promise<string> {
  const text = await readFile(join(folder, path), 'utf8');
  if (!text.includes(from)) throw new Error(`${path} does not hold ${from}`);
  return text.replace(from, () => to);
}

/** What a validation has signed, and the report that it names. */
export async function outcomeOf(
  { records }: Intake,
  { testResult }: Validated,
): Promise<{ predicate: TestResultPredicate; named: Record<string, string>; report: ValidationReport }> {
  const { verified } = await records.get('testResult', testResult);
  const { predicate } = verified;
  const named = Object.fromEntries(predicate.configuration.map(({ name, digest }) => [name, digest.sha256]));
  const bytes = await records.getBytes(named['report'] ?? '');
  return { predicate, named, report: JSON.parse(bytes.toString('utf8')) as ValidationReport };
}
