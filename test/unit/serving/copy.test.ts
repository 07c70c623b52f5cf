import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, link, lstat, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Release } from '../../support/world.js';
import { infer, pidOf, Site, type Running } from './fixture.js';

let site: Site;
let host: Running;
beforeEach(async () => {
  site = await Site.open();
});
afterEach(() => site.close());

/** What an intruder with root does: writes where nothing can be written, and puts modes and times back to the nanosecond. */
async function asIntruder(path: string, act: () => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const isFile = async (): Promise<boolean> => (await lstat(path).catch(() => null))?.isFile() === true;
  const was = await isFile();
  const undo = [await timesOf(folder), ...(was ? [await timesOf(path)] : [])];
  await chmod(folder, 0o755);
  if (was) await chmod(path, 0o644);
  await act();
  if (was && (await isFile())) await chmod(path, 0o444);
  await chmod(folder, 0o555);
  for (const restore of undo.reverse()) await restore();
}

async function timesOf(path: string): Promise<() => Promise<void>> {
  const kept = join(site.state, `times-${randomUUID()}`);
  execFileSync('touch', ['--reference', path, kept]);
  return async () => {
    if ((await lstat(path).catch(() => null)) !== null)
      execFileSync('touch', ['--no-create', '--no-dereference', '--reference', kept, path]);
    await rm(kept);
  };
}

async function flipBit(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  await writeFile(path, bytes);
}

async function expectIntact(release: Release): Promise<void> {
  const copy = join(site.releases, release.release);
  for (const [path, bytes] of release.files) {
    expect((await lstat(join(copy, path))).isFile(), path).toBe(true);
    expect(await readFile(join(copy, path)), path).toEqual(bytes);
  }
  expect(await site.copies()).toEqual([release.release]);
}

const TAMPERINGS: readonly [string, string, (path: string, copy: string) => Promise<void>][] = [
  ['a flipped bit in the weights', 'weights.safetensors', flipBit],
  ['a flipped bit in the manifest', 'custody.json', flipBit],
  ['a file cut off', 'config.json', (path) => truncate(path, 10)],
  ['a file that is missing', 'README.md', (path) => rm(path)],
  ['a file too many', 'sitecustomize.py', (path) => writeFile(path, 'import os', { mode: 0o444 })],
  ['a folder too many', '__pycache__', (path) => mkdir(path, { mode: 0o555 })],
  [
    'a file swapped for another of the release',
    'labels.json',
    async (path, copy) => {
      await rm(path);
      await writeFile(path, await readFile(join(copy, 'config.json')), { mode: 0o444 });
    },
  ],
  [
    'a link in the place of a file, to the same bytes',
    'model.mjs',
    async (path) => {
      const outside = join(site.state, 'model.mjs');
      await writeFile(outside, await readFile(path));
      await rm(path);
      await symlink(outside, path);
    },
  ],
  [
    'a link in the place of a folder, to the same bytes',
    'notes',
    async (path) => {
      const outside = join(site.state, 'notes');
      await rename(path, outside);
      await symlink(outside, path);
    },
  ],
  ['a second name by which a file can be written', 'serve.mjs', (path) => link(path, join(site.state, 'serve.mjs'))],
];

describe('an older copy', () => {
  it('that is what it was starts again without a load, after a restart of the host', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.end();
    host = await site.begin();
    const replica = await site.gateway.hears(({ subject }) => subject === release.release);
    expect(await infer(replica.predicate.port)).toMatchObject({ version: '1.0.0' });
    expect(site.vault.opened).toBe(1);
    expect(site.desk.incidents).toEqual([]);
  });

  it.each(TAMPERINGS)(
    'with %s is refused, reported and replaced from WORM before it starts',
    async (_w, file, tamper) => {
      const release = await site.admit();
      host = await site.begin();
      await host.start(release.name, release.release);
      await host.end();
      const copy = join(site.releases, release.release);
      await asIntruder(join(copy, file), () => tamper(join(copy, file), copy));

      host = await site.begin();
      const replica = await site.gateway.hears(({ subject }) => subject === release.release);
      const [incident] = await site.desk.holds(1);
      expect(incident).toMatchObject({ subject: release.release, signers: ['serving'], predicate: release.name });
      expect(incident?.predicate.reason).toMatch(/^DIGEST_MISMATCH: /);
      expect(incident?.predicate.reason).toContain(file);
      expect(await infer(replica.predicate.port)).toMatchObject({ status: 200, version: '1.0.0' });
      await expectIntact(release);
      expect(site.vault.opened).toBe(2);
    },
  );

  it('that can be written is refused, though its bytes are right', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.end();
    await chmod(join(site.releases, release.release, 'serve.mjs'), 0o666);
    host = await site.begin();
    const [incident] = await site.desk.holds(1);
    expect(incident?.predicate.reason).toContain('can be written');
  });

  it('is hashed again after a crash of its model server, and a changed one does not come back', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    const copy = join(site.releases, release.release);
    const pid = (await pidOf(copy)) ?? 0;
    const heard = site.gateway.heard[0]?.predicate.port;
    await asIntruder(join(copy, 'config.json'), () => flipBit(join(copy, 'config.json')));
    const again = site.gateway.hears(({ predicate }) => predicate.port !== heard);
    process.kill(pid, 'SIGKILL');
    expect(await infer((await again).predicate.port)).toMatchObject({ status: 200 });
    expect((await site.desk.holds(1))[0]?.predicate.reason).toContain('config.json');
    await expectIntact(release);
  });

  it('of a release that was revoked meanwhile is removed and not started, without the vault', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.end();
    const told = site.gateway.heard.length;
    await site.issueStatus({ revoked: [release.release], version: Date.now() + 1 });
    host = await site.begin();
    expect((await site.desk.holds(1))[0]?.predicate.reason).toMatch(/^REVOKED/);
    await host.stop(release.name, release.release);
    expect(await site.copies()).toEqual([]);
    expect(site.gateway.heard.length).toBe(told);
  });

  it('is not started while no fresh status document can be had, however good it is', async () => {
    const release = await site.admit();
    host = await site.begin();
    await host.start(release.name, release.release);
    await host.end();
    const told = site.gateway.heard.length;
    site.store.setAvailable(false);
    host = await site.begin();
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(site.gateway.heard.length).toBe(told);
    site.store.setAvailable(true);
    await host.start(release.name, release.release);
    expect(site.vault.opened).toBe(1);
  });
});

describe('a copy that changes after it was verified, and before the model server has read it', () => {
  let lab: Server;
  /** What happens while the model server starts. */
  let meanwhile: (() => Promise<void>)[];

  beforeEach(async () => {
    meanwhile = [];
    lab = createServer((_, response) => {
      const act = meanwhile.shift() ?? (async () => undefined);
      act().then(
        () => response.end(),
        () => response.writeHead(500).end(),
      );
    }).listen(0, '127.0.0.1');
    await once(lab, 'listening');
  });
  afterEach(() => lab.close());

  /** Its server asks the test before it reads its answer from the copy. */
  async function admitAsking(): Promise<Release> {
    const { port } = lab.address() as AddressInfo;
    const script = `
      import { createServer } from 'node:http';
      import { readFileSync } from 'node:fs';
      await fetch('http://127.0.0.1:${port}/');
      const answer = readFileSync('answer.json');
      const server = createServer((_, response) => response.end(answer));
      server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ ready: true, port: server.address().port })));
      process.on('SIGTERM', () => process.exit(0));
    `;
    return site.admit({ files: { 'serve.mjs': script, 'answer.json': '"honest"' } });
  }

  it.each([
    ['changed', (path: string) => writeFile(path, '"forged"', { mode: 0o444 })],
    [
      'replaced',
      async (path: string) => {
        await rename(path, `${path}.old`);
        await writeFile(path, '"forged"', { mode: 0o444 });
        await rm(`${path}.old`);
      },
    ],
    [
      'replaced and put back',
      async (path: string) => {
        const bytes = await readFile(path);
        await writeFile(path, '"forged"');
        await writeFile(path, bytes);
      },
    ],
  ])('is refused when a file was %s', async (_how, change) => {
    const release = await admitAsking();
    const answer = join(site.releases, release.release, 'answer.json');
    meanwhile.push(() => asIntruder(answer, () => change(answer)));
    host = await site.begin();
    await host.start(release.name, release.release);
    expect((await site.desk.holds(1))[0]?.predicate.reason).toContain('changed while the model server started');
    const port = site.gateway.heard[0]?.predicate.port ?? 0;
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('"honest"');
    await expectIntact(release);
    expect(site.vault.opened).toBe(2);
  });

  it('and changes each time is not served at all, and leaves nothing behind', async () => {
    const release = await admitAsking();
    const answer = join(site.releases, release.release, 'answer.json');
    const change = (): Promise<void> => asIntruder(answer, () => writeFile(answer, '"forged"'));
    meanwhile.push(change, change);
    host = await site.begin();
    await expect(host.start(release.name, release.release)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await site.copies()).toEqual([]);
    expect(await pidOf(join(site.releases, release.release))).toBeNull();
    expect(site.gateway.heard).toEqual([]);
    expect(await site.desk.holds(2)).toHaveLength(2);
  });
});
