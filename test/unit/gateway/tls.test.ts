import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Agent, request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readTls } from '../../../gateway/tls.js';
import type { TlsFiles } from '../../../formats/tls.js';
import { Authority } from '../../support/certificates.js';
import { createWorld } from '../../support/world.js';
import { ask, Cleanup, startRig, temporaryFolder, type Rig } from './rig.js';

const cleanup = new Cleanup();
let folder: string;
let authority: Authority;
let files: TlsFiles;
let rig: Rig;

async function prepare({ authorities }: { authorities?: string } = {}): Promise<void> {
  const world = createWorld();
  rig = await startRig(world, cleanup, {
    tls: { certificate: files.certificate, key: files.key, ...(authorities === undefined ? {} : { authorities }) },
  });
  const release = world.release();
  await rig.serve(release);
  await rig.inService(release);
}

const issue = (name: string): Promise<TlsFiles> => authority.host(name, ['127.0.0.1']);

beforeEach(async () => {
  folder = temporaryFolder(cleanup);
  authority = await Authority.create(folder);
  files = await issue('first');
});
afterEach(() => cleanup.run());

/** One request on a connection of `agent`, and by whose certificate it was answered. */
async function asks(agent: Agent, more: RequestOptions = {}): Promise<{ status: number; by: string }> {
  const ca = readFileSync(files.authorities);
  const options = { host: '127.0.0.1', port: rig.port, method: 'GET', path: '/v2/models/digits', agent, ca, ...more };
  const sent = request(options).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const by = (answer.socket as TLSSocket).getPeerCertificate().subject.CN;
  await once(answer.resume(), 'end');
  return { status: answer.statusCode ?? 0, by: String(by) };
}

const agent = (): Agent => {
  const made = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanup.add(() => made.destroy());
  return made;
};

/** As an orchestrator does it. */
function replace(by: TlsFiles): void {
  for (const name of ['key', 'certificate'] as const) {
    copyFileSync(by[name], `${files[name]}.new`);
    renameSync(`${files[name]}.new`, files[name]);
  }
}

describe('a data plane with a certificate', () => {
  test('takes up one that has been replaced, and the connections that are open stay', async () => {
    await prepare();
    const open = agent();
    expect(await asks(open)).toEqual({ status: 200, by: 'first' });
    replace(await issue('second'));
    await expect.poll(() => asks(agent())).toEqual({ status: 200, by: 'second' });
    expect(await asks(open)).toEqual({ status: 200, by: 'first' });
  });

  test('keeps the one it has where the new one is none, or does not fit its key, and says so', async () => {
    await prepare();
    writeFileSync(files.certificate, 'no certificate');
    await expect.poll(() => rig.reports.join()).toContain('the certificate stays the one before');
    expect(await asks(agent())).toEqual({ status: 200, by: 'first' });
    replace({ ...(await issue('second')), key: (await issue('third')).key });
    await expect.poll(() => rig.reports.length).toBeGreaterThan(1);
    expect(await asks(agent())).toEqual({ status: 200, by: 'first' });
  });

  test('attack: nobody speaks to it in the clear, or in TLS of long ago', async () => {
    await prepare();
    await expect(ask(rig.port)).rejects.toThrow();
    const old = connect({ host: '127.0.0.1', port: rig.port, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' });
    await expect(once(old, 'secureConnect')).rejects.toThrow();
  });

  test('attack: without a certificate of the right authority no caller gets in, where one is asked for', async () => {
    await prepare(files);
    const foreign = await (await Authority.create(join(folder, 'foreign'))).host('mallory', ['127.0.0.1']);
    const as = ({ certificate, key }: TlsFiles): RequestOptions => ({
      cert: readFileSync(certificate),
      key: readFileSync(key),
    });
    await expect(asks(agent())).rejects.toThrow();
    await expect(asks(agent(), as(foreign))).rejects.toThrow();
    expect(await asks(agent(), as(await issue('caller')))).toMatchObject({ status: 200 });
  });

  test('does not start on files that are missing or do not fit', async () => {
    const other = await issue('other');
    expect(() => readTls({ ...files, certificate: join(folder, 'none') })).toThrow(/cannot be used/);
    expect(() => readTls({ ...files, key: other.key })).toThrow(/cannot be used/);
  });
});
