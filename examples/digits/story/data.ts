import { join } from 'node:path';
import { findData, handOver, registerData, vouchFor } from '../../../client/data.js';
import type { Digest } from '../../../domain/digest.js';
import { digitsFolder } from '../assets.js';
import { eventually, signer, type Scene } from './scene.js';

export const SOURCE = 'digits';
const ORIGIN = 'https://doi.org/10.24432/C50P49';

/** The data come from their publisher to a data steward, who vouches for them; answers the statement that trainings name. */
export async function registered(scene: Scene): Promise<Digest> {
  const { narrator, custody } = scene;
  narrator.step('The images come from their publisher, and a data steward vouches for them');
  const data = await findData(join(digitsFolder(), 'data', SOURCE), SOURCE);
  const [archive, dana] = [await signer(scene, 'archive'), await signer(scene, 'dana')];
  const handover = handOver(archive, data, { to: dana.id, reason: 'for the classifier', after: null });
  narrator.decided(archive.id, `gives ${data.files} files to ${dana.id}`);
  const said = { publisher: archive.id, licence: 'CC-BY-4.0', origin: ORIGIN };
  const statement = vouchFor(dana, data, said, [handover]);
  narrator.decided(dana.id, 'vouches for them');
  const taken = await narrator.timed('every byte and every handover was checked', () =>
    eventually('the registration', () => registerData(custody, statement, [handover], data)),
  );
  return taken.statement;
}
