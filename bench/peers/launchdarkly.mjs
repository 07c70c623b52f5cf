// `node launchdarkly.mjs <clients> <times>`: a flag turned off at a stub of the streaming service, until the last client's own
// evaluation says so. Prints a JSON list of milliseconds. Nothing is on any disk.
import { createServer } from 'node:http';
import { init } from '@launchdarkly/node-server-sdk';

const [clients, times] = process.argv.slice(2).map(Number);
const streams = new Set();
const flag = (version, on) => ({
  ...{ key: 'serve', version, on, offVariation: 0, fallthrough: { variation: 1 }, variations: [false, true] },
  ...{ salt: 'salt', targets: [], rules: [], prerequisites: [], clientSide: false },
});
const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const stub = createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(event('put', { path: '/', data: { flags: { serve: flag(1, true) }, segments: {} } }));
  streams.add(response);
}).listen(0, '127.0.0.1');
await new Promise((resolve) => stub.once('listening', resolve));

const streamUri = `http://127.0.0.1:${stub.address().port}`;
const logger = { debug() {}, info() {}, warn: console.error, error: console.error };
const all = await Promise.all(
  Array.from({ length: clients }, async () => {
    const client = init('sdk-key', {
      streamUri,
      baseUri: streamUri,
      sendEvents: false,
      diagnosticOptOut: true,
      logger,
    });
    await client.waitForInitialization({ timeout: 30 });
    return client;
  }),
);
const took = [];
for (let time = 1; time <= times; time += 1) {
  const on = time % 2 === 0;
  const heard = Promise.all(all.map((client) => new Promise((resolve) => client.once('update:serve', resolve))));
  const startedAt = performance.now();
  for (const stream of streams) stream.write(event('patch', { path: '/flags/serve', data: flag(1 + time, on) }));
  await heard;
  for (const client of all)
    if ((await client.variation('serve', { kind: 'user', key: 'a' }, !on)) !== on) throw new Error('not told');
  took.push(performance.now() - startedAt);
}
process.stdout.write(`${JSON.stringify(took)}\n`);
process.exit(0);
