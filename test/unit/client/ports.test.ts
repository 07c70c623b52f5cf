import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { choosePorts, freePort, Layout } from '../../../client/stack/layout.js';

function layoutWith(ports: object): Layout {
  const folder = mkdtempSync(join(tmpdir(), 'custody-ports-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'ports.json'), JSON.stringify(ports));
  return new Layout(folder);
}

test('a stack has the ports that it had before, and those that it is asked for', async () => {
  const [api, store] = [await freePort(), await freePort()];
  const layout = layoutWith({ api });
  expect(await choosePorts(layout, { store })).toMatchObject({ api, store });
  const again = await choosePorts(layout);
  expect(again).toMatchObject({ api, store });
  expect(JSON.parse(readFileSync(layout.path('ports.json'), 'utf8'))).toEqual(again);
});

test('attack: no two of its processes get the same port, whatever was there before or is asked for', async () => {
  const port = await freePort();
  const before = await choosePorts(layoutWith({ temporal: port, ui: port, store: port }));
  expect(new Set(Object.values(before)).size).toBe(12);
  const asked = await choosePorts(layoutWith({ temporal: port }), { api: port });
  expect(asked.api).toBe(port);
  expect(asked.temporal).not.toBe(port);
  const twice = choosePorts(layoutWith({}), { api: port, gateway: port });
  await expect(twice).rejects.toMatchObject({ code: 'PORT_IN_USE' });
});

test('a port that somebody listens on is refused where it was asked for, and replaced where it was the usual one', async () => {
  const server = createServer();
  onTestFinished(() => new Promise((done) => server.close(() => done())));
  const port = await freePort();
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  await expect(choosePorts(layoutWith({}), { desk: port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  expect((await choosePorts(layoutWith({ desk: port }))).desk).not.toBe(port);
});
