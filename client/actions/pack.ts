import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { OpenBase } from '../../adapters/base.js';
import { packRelease, type PackedRelease } from '../../adapters/source/pack.js';
import { takenOver } from '../../domain/base.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, assertVersion, type ReleaseName } from '../../domain/names.js';
import type { PromptSource } from '../../domain/prompts.js';
import { omsResources } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { describeOn, keptFiles, readBase } from '../base.js';
import { readComponents } from '../components.js';
import { replaceFile } from '../files.js';
import { readKey } from '../init.js';
import { answer } from '../output.js';
import { takePrompts } from '../prompts.js';
import { describeOrigin, parentIn, provenanceBeside, writeProvenance } from '../provenance.js';
import type { Session } from '../session.js';
import { checkPacked } from '../source.js';

interface PackOptions {
  readonly model?: string;
  readonly as: string;
  readonly components?: string;
  readonly key: string;
  readonly bundle: string;
  readonly base?: string;
  readonly remove?: readonly string[];
  readonly trainingData?: readonly string[];
  readonly trainingCode?: readonly string[];
  readonly provenance?: string;
  readonly parent?: string;
  readonly compression?: string;
  readonly prompts?: string;
  readonly repository?: string;
}

export async function pack(session: Session, folder: string, options: PackOptions): Promise<void> {
  demandEnough(options);
  const base = options.base === undefined ? null : await readBase(session.layout, options.base, options.model);
  const name = { model: options.model ?? base?.manifest.model ?? '', version: options.as };
  assertModelName(name.model);
  assertVersion(name.version);
  const { trainingData: data = [], trainingCode: code = [], provenance: statement = null } = options;
  const { parent: from, compression } = options;
  if ((from === undefined) !== (compression === undefined))
    throw new CustodyError('USAGE', '--parent and --compression go together');
  const parent = from === undefined ? null : parentIn(resolve(from), compression ?? '');
  const prompts = await promptsFor(resolve(folder), base, options);
  const packed = await write(resolve(folder), name, base, options);
  await checkPacked(resolve(folder), base?.manifest ?? null);
  const origin = await describeOrigin(packed, { data, code, parent, base, statement, prompts });
  const { release, manifest, text } = packed;
  const key = readKey(session.layout.keyFile(options.key));
  replaceFile(options.bundle, signOms(`${name.model} ${name.version}`, omsResources(manifest, text), key));
  const provenance = provenanceBeside(options.bundle);
  writeProvenance(provenance, packed, origin, key);
  const taken = base === null ? 0 : takenOver(manifest, base.manifest).length;
  answer(session, { ...name, release, provenance, ...(base === null ? {} : { base: base.release.release, taken }) }, [
    `release digest ${release}`,
    ...(base === null ? [] : [`${taken} of ${manifest.files.length} files are taken over from ${options.base ?? ''}`]),
    `signature in ${options.bundle}`,
    `provenance in ${provenance}`,
  ]);
}

/** Prompts are taken from a commit, before anything is hashed. */
async function promptsFor(
  folder: string,
  base: OpenBase | null,
  { prompts, repository, components }: PackOptions,
): Promise<PromptSource | null> {
  if ((prompts === undefined) !== (repository === undefined))
    throw new CustodyError('USAGE', '--prompts and --repository go together');
  if (prompts === undefined || repository === undefined) return null;
  mkdirSync(folder, { recursive: true });
  const described = components === undefined ? base?.manifest.components : readComponents(components).components;
  return takePrompts(resolve(prompts), repository, folder, {
    components: described ?? [],
    base: base?.manifest ?? null,
  });
}

async function write(
  folder: string,
  name: ReleaseName,
  base: OpenBase | null,
  { components, remove = [] }: PackOptions,
): Promise<PackedRelease> {
  const said = components === undefined ? null : readComponents(components);
  const kept = base === null ? [] : keptFiles(base.manifest, folder, remove);
  return packRelease(
    folder,
    (files) => {
      if (said !== null) return { ...name, ...said };
      if (base === null) throw new CustodyError('USAGE', 'say what it is: --components');
      return { ...name, ...describeOn(base.manifest, name.version, files) };
    },
    kept,
  );
}

/** A base says what the files of a release cannot say themselves. */
function demandEnough({ base, model, components, remove, trainingData, provenance }: PackOptions): void {
  const problem =
    base === undefined && (model === undefined || components === undefined)
      ? 'say what it is: --model and --components, or --base'
      : base === undefined && remove !== undefined
        ? '--remove takes files of a base away: name it with --base'
        : base === undefined && trainingData === undefined && provenance === undefined
          ? 'say what it was trained on: --training-data, or --provenance of its builder'
          : null;
  if (problem !== null) throw new CustodyError('USAGE', problem);
}
