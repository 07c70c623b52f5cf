import { parseReleaseName } from '../../domain/names.js';
import { newNonce } from '../../formats/requests.js';
import { commitOf, demandClean, digestIn } from '../code.js';
import { sourceNamed } from '../data.js';
import { answer, good, plain } from '../output.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';
import { startTraining } from '../start.js';

interface TrainOptions {
  readonly trainer: string;
  readonly code: string;
  readonly hyperparameters: string;
  readonly data: string;
  readonly run?: string;
  readonly key: string;
}

export async function train(session: ConnectedSession, given: string, options: TrainOptions): Promise<void> {
  const name = parseReleaseName(given);
  const { trainer, code } = options;
  await demandClean(code);
  const commit = await commitOf(code, 'HEAD');
  const hyperparameters = await digestIn(code, commit, options.hyperparameters);
  const data = (await sourceNamed(session.custody.records, options.data)).statement.digest;
  const signer = await signerOf(session, options.key);
  const run =
    options.run ??
    `${name.version.replaceAll(/[^0-9a-z]/g, '-')}-${newNonce()
      .toLowerCase()
      .replaceAll(/[^0-9a-z]/g, '')
      .slice(0, 6)}`;
  const asked = { ...name, run, trainer, commit, hyperparameters, data };
  const started = await startTraining(session.custody, signer, asked);
  answer(session, { ...asked, ...started }, [
    good(plain(`${signer.id} asks for ${name.model} ${name.version}, run ${run}, with ${commit.slice(0, 12)}`)),
    plain(started.ui),
    plain('people agree to it first: `custody approvals` shows the request, and how'),
  ]);
}
