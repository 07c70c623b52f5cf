import { parseReleaseName } from '../../domain/names.js';
import { answer, counted, faint, good, plain } from '../output.js';
import { BUNDLE, promoteRelease } from '../promoting.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

interface PromoteOptions {
  readonly files: string;
  readonly out?: string;
  readonly key: string;
}

export async function promote(
  session: ConnectedSession,
  given: string,
  { key, files, out }: PromoteOptions,
): Promise<void> {
  const name = parseReleaseName(given);
  const signer = await signerOf(session, key);
  const folder = out ?? `promotion-${name.model}-${name.version}`;
  const promoted = await promoteRelease(session.custody, signer, name, { files, out: folder });
  const { release, signature, summary } = BUNDLE;
  answer(session, { ...name, ...promoted }, [
    good(plain(`${name.model} ${name.version} was verified by the signing zone: summary ${promoted.summary}`)),
    plain(`it lies in ${promoted.folder}, with ${counted(promoted.objects, 'object')} that the finding rests on`),
    faint('in the next environment:'),
    faint(
      plain(`  custody release ${folder}/${release} --bundle ${folder}/${signature} --promotion ${folder}/${summary}`),
    ),
  ]);
}
