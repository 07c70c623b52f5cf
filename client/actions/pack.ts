import { resolve } from 'node:path';
import { packRelease } from '../../adapters/source/pack.js';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName, assertVersion } from '../../domain/names.js';
import { omsResources } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { readComponents } from '../components.js';
import { replaceFile } from '../files.js';
import { readKey } from '../init.js';
import { answer } from '../output.js';
import { describeOrigin, parentIn, provenanceBeside, writeProvenance } from '../provenance.js';
import type { Session } from '../session.js';
import { checkPacked } from '../source.js';

interface PackOptions {
  readonly model: string;
  readonly as: string;
  readonly components: string;
  readonly key: string;
  readonly bundle: string;
  readonly trainingData?: readonly string[];
  readonly trainingCode?: readonly string[];
  readonly provenance?: string;
  readonly parent?: string;
  readonly compression?: string;
}

export async function pack(session: Session, folder: string, options: PackOptions): Promise<void> {
  const name = { model: options.model, version: options.as };
  assertModelName(name.model);
  assertVersion(name.version);
  const { trainingData: data = [], trainingCode: code = [], provenance: statement = null } = options;
  if (data.length === 0 && statement === null)
    throw new CustodyError('USAGE', 'say what it was trained on: --training-data, or --provenance of its builder');
  const { parent: from, compression } = options;
  if ((from === undefined) !== (compression === undefined))
    throw new CustodyError('USAGE', '--parent and --compression go together');
  const parent = from === undefined ? null : parentIn(resolve(from), compression ?? '');
  const packed = await packRelease(resolve(folder), { ...name, ...readComponents(options.components) });
  await checkPacked(resolve(folder));
  const origin = await describeOrigin(packed, { data, code, parent, statement });
  const { release, manifest, text } = packed;
  const key = readKey(session.layout.keyFile(options.key));
  replaceFile(options.bundle, signOms(`${name.model} ${name.version}`, omsResources(manifest, text), key));
  const provenance = provenanceBeside(options.bundle);
  writeProvenance(provenance, packed, origin, key);
  answer(session, { ...name, release, provenance }, [
    `release digest ${release}`,
    `signature in ${options.bundle}`,
    `provenance in ${provenance}`,
  ]);
}
