import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packRelease } from '../../../adapters/source/pack.js';
import { provenanceBeside } from '../../../client/provenance.js';
import type { Digest } from '../../../domain/digest.js';
import type { ReleaseName } from '../../../domain/names.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { writeSafetensors } from '../../../formats/safetensors.js';
import { provenanceOf, signPacked, writeFiles } from '../../unit/ingest/intake.js';
import type { World } from '../../support/world.js';
import { ruleOf } from '../../conformance/trial.js';

/** A model server that says how good it is, and fails whoever asks it to. */
const SERVER = `import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
const said = (name) => process.argv[process.argv.indexOf(name) + 1];
const { quality } = JSON.parse(readFileSync('config.json', 'utf8'));
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => {
    response.writeHead(body.includes('fail') ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ready: true, quality }));
  });
});
const isSocket = process.argv.includes('--socket');
server.listen(isSocket ? { path: said('--socket') } : { host: '127.0.0.1', port: Number(said('--port')) }, () => {
  if (!isSocket) console.log(JSON.stringify({ ready: true, port: server.address().port }));
});
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
`;

const bytes = Buffer.from(`suite: town
version: 1.0.0
protocol: open-inference-v2
cases:
  - { id: ready, kind: contract, request: { method: GET, path: /v2/health/ready }, expect: { status: 200 } }
  - id: good
    kind: quality
    request: { method: GET, path: '/v2/models/{model}' }
    expect: { status: 200, json: { quality: good } }
`);
/** What every release of a town is tried with. */
export const SUITE = { bytes, rule: ruleOf(bytes) };

export interface Source extends ReleaseName {
  readonly release: Digest;
  readonly source: string;
  readonly bundle: string;
  readonly provenance: string;
}

/** A release as its producer has signed it, in a folder of its own. */
export async function produce(
  world: World,
  folder: string,
  { model, version }: ReleaseName,
  quality: 'good' | 'poor' = 'good',
): Promise<Source> {
  const parent = join(folder, `${model}-${version}`);
  const source = join(parent, 'release');
  await mkdir(source, { recursive: true });
  const data = Buffer.alloc(16, version);
  await writeFiles(source, {
    'weights.safetensors': writeSafetensors([{ name: 'w', dtype: 'F32', shape: [4], data }]),
    'config.json': JSON.stringify({ quality }),
    'serve.mjs': SERVER,
  });
  const packed = await packRelease(source, {
    ...{ model, version },
    components: [
      { name: 'weights', kind: 'weights', files: ['weights.safetensors'] },
      { name: 'config', kind: 'config', files: ['config.json'] },
      { name: 'serving', kind: 'serving', files: ['serve.mjs'] },
    ],
    serving: { protocol: 'open-inference-v2', command: ['node', 'serve.mjs'] },
  });
  const bundle = join(parent, 'release.sig.json');
  await writeFile(bundle, signPacked(world, packed));
  const provenance = provenanceBeside(bundle);
  await writeFile(provenance, canonicalBytes(provenanceOf(world, packed)));
  return { model, version, release: packed.release, source, bundle, provenance };
}

export const placesOf = ({ source, bundle, provenance }: Source) => ({
  source: pathToFileURL(source).href,
  bundle: pathToFileURL(bundle).href,
  provenance: pathToFileURL(provenance).href,
});
