// `node deploy/provision.mjs <folder> <store> <temporal> <namespace>`: buckets, accounts and grants, the proof that the store is
// WORM, the first policy, and Temporal's search attributes. All of it can be done again; the proof lasts a week.
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';

const DIST = new URL('../dist/', import.meta.url);
const DIGITS = join(dirname(fileURLToPath(import.meta.url)), '..', 'examples', 'digits');
const INDEXED_VALUE_TYPE_KEYWORD = 2;
const [folder, endpoint, address, namespace] = process.argv.slice(2);
if (namespace === undefined) {
  process.stderr.write('usage: provision.mjs <folder> <store URL> <temporal host:port> <namespace>\n');
  process.exit(2);
}
const { Layout } = await import(new URL('client/stack/layout.js', DIST));
const { EmbeddedStack } = await import(new URL('client/stack/store.js', DIST));
const { SEARCH_ATTRIBUTES } = await import(new URL('workflows/messages.js', DIST));

const store = new EmbeddedStack(new Layout(folder), 'dev', Number(new URL(endpoint).port));
// The proof names the address by which the zones reach the store, which is not loopback here.
store.endpoint = endpoint;
await store.prepare();
const { checks } = await store.prove();
chmodSync(store.proofFile, 0o444);
await store.publish([join(DIGITS, 'suite.yaml'), join(DIGITS, 'data', 'held-out.json')]);
process.stderr.write(`the store refused: ${checks.map(({ check }) => check).join(', ')}\n`);

const connection = await Connection.connect({ address });
try {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = Object.values(SEARCH_ATTRIBUTES)
    .map(({ name }) => name)
    .filter((name) => customAttributes[name] === undefined);
  if (missing.length > 0)
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, INDEXED_VALUE_TYPE_KEYWORD])),
    });
  process.stderr.write(`search attributes: ${missing.length} added\n`);
} finally {
  await connection.close();
}
