import { openBase, type OpenBase } from '../adapters/base.js';
import { NO_LIMITS, walkFolder } from '../adapters/source/folder.js';
import type { ReleaseDescription } from '../adapters/source/pack.js';
import { CustodyError } from '../domain/errors.js';
import { MANIFEST_FILE, type Component, type Manifest, type ManifestFile } from '../domain/manifest.js';
import { parseReleaseName } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { quote } from '../formats/json.js';
import { openReading } from './connect.js';
import type { Layout } from './stack/layout.js';

/** A release in custody, `<model>@<version>`, that a new one may be built on. INPUT_MISSING: there is none of that name. */
export async function readBase(layout: Layout, given: string, model?: string): Promise<OpenBase> {
  const name = parseReleaseName(given);
  const { records } = openReading(layout);
  const claimed = (await records.record(storeKeys.version(name))) as { readonly release?: string } | null;
  if (claimed?.release === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${given}`);
  return openBase(records, { model: model ?? name.model }, { ...name, release: claimed.release });
}

/** What stays of a base beside the files of a folder: all that is not there and is not taken away. */
export function keptFiles({ files }: Manifest, folder: string, removed: readonly string[]): readonly ManifestFile[] {
  const own = new Set(walkFolder(folder, NO_LIMITS).map(({ path }) => path));
  const known = new Set(files.map(({ path }) => path));
  for (const path of removed) {
    if (!known.has(path)) throw new CustodyError('USAGE', `--remove ${quote(path)}: its base has no such file`);
    if (own.has(path)) throw new CustodyError('USAGE', `--remove ${quote(path)}: the folder holds it`);
  }
  return files.filter(({ path }) => !own.has(path) && path !== MANIFEST_FILE && !removed.includes(path));
}

/**
 * The base's components around the files that there are now: one whose content has changed goes with the release, the others
 * keep their version. USAGE: a new file belongs to none, or one has a version of its own, which only its producer can raise.
 */
export function describeOn(
  base: Manifest,
  version: string,
  files: readonly ManifestFile[],
): Pick<ReleaseDescription, 'components' | 'serving'> {
  const now = new Map(files.map(({ path, sha256 }) => [path, sha256]));
  const before = new Map(base.files.map(({ path, sha256 }) => [path, sha256]));
  const stray = files.find(({ path }) => !before.has(path));
  if (stray !== undefined)
    throw new CustodyError(
      'USAGE',
      `${quote(stray.path)} is new and belongs to no component: say to which in --components`,
    );
  return {
    serving: base.serving,
    components: base.components.flatMap((component): Component[] => {
      const left = component.files.filter((path) => now.has(path));
      const isChanged = component.files.some((path) => now.get(path) !== before.get(path));
      if (isChanged && component.version !== base.version)
        throw new CustodyError(
          'USAGE',
          `the component ${component.name} has changed, and a version of its own (${component.version}): say its next one in --components`,
        );
      return left.length === 0 ? [] : [{ ...component, files: left, version: isChanged ? version : component.version }];
    }),
  };
}
