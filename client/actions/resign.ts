import { progressOf } from '../../adapters/dossier.js';
import { CustodyError } from '../../domain/errors.js';
import { parseReleaseName } from '../../domain/names.js';
import { answer, plain } from '../output.js';
import { resignRelease, livingReleases } from '../resigning.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';

export async function resign(
  session: ConnectedSession,
  release: string | undefined,
  { key, all }: { key: string; all?: true },
): Promise<void> {
  if ((release === undefined) === (all === undefined))
    throw new CustodyError('USAGE', 'name one release as <model>@<version>, or say --all');
  const { custody } = session;
  const signer = await signerOf(session, key);
  const names = release === undefined ? await livingReleases(custody) : [parseReleaseName(release)];
  const done = [];
  for (const name of names) {
    const { ingested } = await progressOf(custody.records, name);
    if (ingested === undefined)
      throw new CustodyError('INPUT_MISSING', `there is no release ${name.model} ${name.version}`);
    done.push({ ...name, ...(await resignRelease(custody, signer, name, ingested.release)) });
  }
  answer(
    session,
    done,
    done.length === 0
      ? ['no release lives']
      : done.map(({ model, version, already, signature }) =>
          plain(`${model} ${version}: ${already ? 'was signed by this key before' : 'signed'}, ${signature}`),
        ),
  );
}
