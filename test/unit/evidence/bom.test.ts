import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect, it } from 'vitest';
import { bomBytes } from '../../../client/evidence/bom.js';
import { evidenceOf } from '../../../client/evidence/gather.js';
import { publishedLog, NAME, releaseInService, storeOf } from '../../support/evidence.js';

const FIXTURES = join('test', 'unit', 'evidence', 'fixtures');
const schema = (name: string): object =>
  JSON.parse(readFileSync(join(FIXTURES, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;

/** What the forms of strings must be is left alone but for times: the schema names many, and none of ours depends on them. */
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
  ajv.addSchema(schema(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
const accepts = ajv.compile(schema('bom-1.7'));

interface Bom {
  readonly components: readonly {
    readonly name: string;
    readonly type: string;
    readonly components?: readonly object[];
  }[];
}

const inService = releaseInService();
const { log } = await publishedLog(inService.records);
const entries = [];
for await (const entry of log.records()) entries.push(entry);
const gathered = await evidenceOf(
  { records: await storeOf(inService), log: { ...log.checkpoint, entries }, by: 'ada' },
  NAME,
);
const bom = JSON.parse(bomBytes(gathered).toString('utf8')) as Bom;

it('is a bill of materials by the schema of CycloneDX 1.7', () => {
  accepts(bom);
  expect(accepts.errors).toBeNull();
  accepts({ ...bom, components: [{ type: 'model', name: 'x' }] });
  expect(accepts.errors).not.toBeNull();
});

it('has every file of the release, and every data set, with its SHA-256', () => {
  const { release } = inService;
  const text = JSON.stringify(bom);
  for (const { path, sha256 } of release.manifest.files) {
    expect(text).toContain(`"name":"${path}"`);
    expect(text).toContain(sha256);
  }
  expect(bom).toMatchObject({
    specVersion: '1.7',
    metadata: {
      component: {
        ...{ type: 'machine-learning-model', name: 'digits', version: '1.0.0' },
        ...{ hashes: [{ alg: 'SHA-256', content: release.release }] },
        modelCard: { modelParameters: { datasets: [{ ref: 'input:0:data.csv' }] } },
      },
    },
  });
  expect(bom.components.find(({ name }) => name === 'data.csv')).toMatchObject({
    ...{ type: 'data', data: [{ type: 'dataset', name: 'data.csv' }] },
  });
});
