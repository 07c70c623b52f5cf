import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RouteFollower } from '../../../activities/route-follower.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { canonicalBytes } from '../../../formats/jcs.js';
import { signStatement } from '../../../formats/statements.js';
import type { Release, Route } from '../../support/world.js';
import { Site } from './fixture.js';

let site: Site;
let running: string[];
let follower: RouteFollower;
beforeEach(async () => {
  site = await Site.open();
  running = [];
  follower = new RouteFollower(site.records, {
    keepRunning: async (_name, release) => void (running.includes(release) || running.push(release)),
    stop: async (release) => void (running = running.filter((each) => each !== release)),
  });
});
afterEach(() => site.close());

const publish = (...routes: readonly Route[]): Promise<void> =>
  site.put(
    routes.map(({ document, envelope }) => [
      storeKeys.route(document.model, document.revision),
      canonicalBytes(envelope),
    ]),
  );
const release = (version: string): Release => site.world.release({ version, files: { 'a.json': `[${version[0]}]` } });

describe('what a serving host runs', () => {
  it('is what the newest documents list, warm releases too, and no longer what they do not', async () => {
    const routes = site.world;
    const [first, second] = [release('1.0.0'), release('2.0.0')];
    await publish(...routes.inService(first));
    await follower.follow();
    expect(running).toEqual([first.release]);

    const before = routes.inService(first).at(-1) ?? null;
    const chain = routes.inService(second, before);
    await publish(...chain);
    await follower.follow();
    expect(running).toEqual([first.release, second.release]);

    const last = chain.at(-1);
    if (last === undefined) throw new Error('there is no document');
    await publish(routes.withdraw(last, first.release));
    await follower.follow();
    expect(running).toEqual([second.release]);
  });

  it('attack: is not stopped by a document that control has not signed', async () => {
    const routes = site.world;
    const chain = routes.inService(release('1.0.0'));
    await publish(...chain);
    await follower.follow();
    const last = chain.at(-1);
    if (last === undefined) throw new Error('there is no document');
    const { document } = last;
    const forged = { ...document, revision: document.revision + 1, releases: [] };
    const subject = { name: `endpoint/${document.model}`, sha256: 'a'.repeat(64) };
    const envelope = signStatement('route', subject, forged, [site.world.keys.oscar]);
    await site.put([[storeKeys.route(document.model, forged.revision), canonicalBytes(envelope)]]);
    await follower.follow();
    expect(running).toHaveLength(1);
  });
});

describe('a serving host that comes new, or has lost its folder', () => {
  it('verifies and runs what is routed, though nobody asks it to', async () => {
    const admitted = await site.admit();
    await publish(...site.world.inService(admitted));
    await site.begin();
    await site.gateway.hears(({ subject }) => subject === admitted.release);
    expect(await site.copies()).toEqual([admitted.release]);
  });

  it('attack: of what is routed it runs nothing that has been revoked', async () => {
    const revoked = await site.admit();
    const other = await site.admit({ model: 'letters' });
    for (const each of [revoked, other]) await publish(...site.world.inService(each));
    await site.issueStatus({ revoked: [revoked.release] });
    await site.begin();
    await site.gateway.hears(({ subject }) => subject === other.release);
    expect(await site.copies()).toEqual([other.release]);
    expect(site.gateway.heard.filter(({ subject }) => subject === revoked.release)).toEqual([]);
  });
});
