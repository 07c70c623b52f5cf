import { progressOf } from '../../adapters/dossier.js';
import type { Records } from '../../adapters/records.js';
import { CustodyError } from '../../domain/errors.js';
import { parseReleaseName } from '../../domain/names.js';
import { sayPrompts, type PromptsFound } from '../../domain/prompts.js';
import { storeKeys } from '../../domain/store-keys.js';
import { parseManifest } from '../../formats/manifest.js';
import { openReading } from '../connect.js';
import { answer, heading, plain } from '../output.js';
import { promptsBetween, promptsOf, type PromptsOf } from '../prompts.js';
import type { Session } from '../session.js';

export async function diff(
  session: Session,
  before: string,
  after: string,
  options: { readonly in: string },
): Promise<void> {
  const { records } = openReading(session.layout);
  const [from, to] = [await promptsNamed(records, before), await promptsNamed(records, after)];
  const text = await promptsBetween(options.in, from, to);
  const components = versionsBetween(from, to);
  const told = [from, to].map(({ title, found }) => ({ release: title, ...found }));
  answer(session, { from: told[0], to: told[1], components, diff: text }, [
    heading(`${before} → ${after}`),
    ...[from, to].map(({ title, found }) => plain(`${title}  ${sayPrompts(found)}`)),
    ...components.map(({ name, from: was, to: is }) => plain(`${name}  ${was ?? '-'} → ${is ?? '-'}`)),
    ...(text === '' ? ['the same, to the byte'] : text.trimEnd().split('\n').map(plain)),
  ]);
}

type Named = PromptsOf & { readonly found: PromptsFound };

/** What intake has found of a release's prompts when it came in. */
async function promptsNamed(records: Records, given: string): Promise<Named> {
  const name = parseReleaseName(given);
  const { ingested } = await progressOf(records, name);
  if (ingested === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${given}`);
  const prompts = await promptsOf(records, ingested.release, ingested.scan);
  if (prompts === undefined || prompts.from === null)
    throw new CustodyError('INPUT_MISSING', `nobody says of which commit the prompts of ${given} are`);
  const manifest = parseManifest(await records.getBytes(ingested.release, storeKeys.manifest));
  return { title: given, manifest, source: prompts.from, found: prompts };
}

/** The components whose files are prompts, and their versions before and after. */
function versionsBetween(
  from: Named,
  to: Named,
): readonly { readonly name: string; readonly from: string | null; readonly to: string | null }[] {
  const versions = ({ manifest }: Named): Map<string, string> =>
    new Map(manifest.components.filter(({ kind }) => kind === 'prompt').map(({ name, version }) => [name, version]));
  const [before, after] = [versions(from), versions(to)];
  return [...new Set([...before.keys(), ...after.keys()])].map((name) => ({
    name,
    from: before.get(name) ?? null,
    to: after.get(name) ?? null,
  }));
}
