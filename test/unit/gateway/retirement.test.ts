import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Retiring } from '../../../domain/ending-predicates.js';
import type { StatusPredicate } from '../../../domain/statements.js';
import { createWorld, type KeyName, type Release, type Route, type World } from '../../support/world.js';
import { ask, Cleanup, startRig, type Answer, type ModelServer, type Rig } from './rig.js';

const SINCE = '2026-01-05T08:00:00.000Z';
const ENDS = '2026-02-04T08:00:00.000Z';
const ANNOUNCED = { deprecation: '@1767600000', sunset: 'Wed, 04 Feb 2026 08:00:00 GMT' };
const INSTEAD = 'digits 2 at https://models.example/digits-2/v1';

const cleanup = new Cleanup();
let world: World;
let rig: Rig;
let release: Release;
let server: ModelServer;
let history: readonly Route[];
let steady: Route;
let version = 0;

beforeEach(async () => {
  world = createWorld();
  rig = await startRig(world, cleanup);
  release = world.release();
  server = await rig.serve(release);
  history = world.inService(release);
  steady = history.at(-1)!;
  await rig.deliver(...history);
  await status({});
});
afterEach(() => cleanup.run());

const ending = (overrides: Partial<Retiring> = {}): Retiring => ({
  ...{ ...release.name, release: release.release, since: SINCE, endsAt: ENDS, reason: 'replaced by 2.0.0' },
  ...overrides,
});

/** A newer status document than any before. */
async function status(predicate: Partial<StatusPredicate>, by: KeyName = 'control', at = rig): Promise<void> {
  version = Math.max(Date.now(), version) + 1;
  await at.client.deliverStatus(world.status({ version, ...predicate }, by).envelope);
}
const announce = (...retiring: Retiring[]): Promise<void> => status({ retiring });
const announcedIn = ({ headers }: Answer): object => ({
  ...(headers['deprecation'] === undefined ? {} : { deprecation: headers['deprecation'] }),
  ...(headers['sunset'] === undefined ? {} : { sunset: headers['sunset'] }),
});
const withdrawal = (): Route => world.withdraw(steady, release.release);
async function gone(port = rig.port): Promise<Record<string, string>> {
  const { status: code, headers, body } = await ask(port);
  expect([code, headers['sunset']]).toEqual([410, undefined]);
  return JSON.parse(body) as Record<string, string>;
}

describe('a release whose end has been announced', () => {
  test('says so in its answers, since when and until when, for as long as the status document does', async () => {
    expect(announcedIn(await ask(rig.port))).toEqual({});
    await announce(ending());
    expect(announcedIn(await ask(rig.port))).toEqual(ANNOUNCED);
    await announce(ending({ endsAt: '2026-02-05T08:00:00.000Z' }));
    expect(announcedIn(await ask(rig.port))).toEqual({ ...ANNOUNCED, sunset: 'Thu, 05 Feb 2026 08:00:00 GMT' });
    await announce();
    expect(announcedIn(await ask(rig.port))).toEqual({});
    // Whatever is said of it, what was counted stays.
    expect((await rig.model()).counters.at(-1)).toMatchObject({ requests: 4, failures: 0 });
  });

  test('says so after the next document, and after the gateway has begun again', async () => {
    await announce(ending());
    const next = world.release({ version: '1.1.0', after: steady });
    await rig.serve(next);
    await rig.deliver(world.routePlan(steady, next));
    const answers = await Promise.all(Array.from({ length: 60 }, (_, at) => ask(rig.port, { caller: `c${at}` })));
    const said = new Set(
      answers.map((answer) => JSON.stringify([answer.headers['x-custody-release-version'], announcedIn(answer)])),
    );
    expect([...said].sort()).toEqual([JSON.stringify(['1.0.0', ANNOUNCED]), JSON.stringify(['1.1.0', {}])]);
    const { folder } = rig;
    await rig.stop();
    rig = await startRig(world, cleanup, { folder });
    await rig.client.deliverReplica(world.replica(release, { port: server.port }).envelope);
    await rig.client.deliverReplica(world.replica(next, { port: server.port }).envelope);
    const old = answers.findIndex(({ headers }) => headers['x-custody-release-version'] === '1.0.0');
    expect(announcedIn(await ask(rig.port, { caller: `c${old}` }))).toEqual(ANNOUNCED);
  });

  test('is told of in no refusal', async () => {
    await announce(ending());
    server.behave((incoming) => incoming.socket.destroy());
    const refused = await ask(rig.port);
    expect(refused).toMatchObject({ status: 502, headers: { 'x-custody-release': release.release } });
    expect(announcedIn(refused)).toEqual({});
  });

  test.each([{}, { connection: 'sunset, deprecation' }])(
    'attack: its model server announces ends itself, and takes those away that control has announced %o',
    async (more) => {
      server.behave((_, outgoing) => {
        const forged = { Deprecation: '@1', Sunset: 'Thu, 01 Jan 1970 00:00:00 GMT' };
        outgoing.writeHead(200, { ...forged, ...more }).end('{}');
      });
      expect(announcedIn(await ask(rig.port))).toEqual({});
      await announce(ending());
      expect(announcedIn(await ask(rig.port))).toEqual(ANNOUNCED);
    },
  );

  test('attack: somebody else issues the status document, and announces nothing', async () => {
    await expect(status({ retiring: [ending()] }, 'oscar')).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    await expect(status({ retiring: [ending()] }, 'serving')).rejects.toMatchObject({ code: 'NOT_AUTHORISED' });
    expect(announcedIn(await ask(rig.port))).toEqual({});
  });

  test('attack: the end of another release of the same version, or of another model, is none of this one', async () => {
    await announce(ending({ release: 'f'.repeat(64) }), ending({ model: 'letters' }));
    expect(announcedIn(await ask(rig.port))).toEqual({});
  });
});

describe('an endpoint that serves nothing any more', () => {
  test('says what is gone, since when, why and what to use instead, also once that is revoked', async () => {
    await announce(ending({ instead: INSTEAD }));
    const out = withdrawal();
    await rig.deliver(out);
    const since = out.document.issuedAt;
    const said = {
      ...{ code: 'WITHDRAWN', model: 'digits', version: '1.0.0', release: release.release, since },
      ...{ why: 'replaced by 2.0.0', instead: INSTEAD },
      reason: `digits 1.0.0 was taken out of service at ${since}: replaced by 2.0.0; instead: ${INSTEAD}`,
    };
    expect(await gone()).toEqual({ ...said, error: said.reason });
    await status({ retiring: [ending({ instead: INSTEAD })], revoked: [release.release] });
    expect(await gone()).toMatchObject(said);
  });

  test('says it after the gateway has begun again, and so does a gateway that is new', async () => {
    await announce(ending());
    const out = withdrawal();
    await rig.deliver(out);
    const said = await gone();
    expect(said).toMatchObject({ version: '1.0.0', since: out.document.issuedAt, why: 'replaced by 2.0.0' });
    const { folder } = rig;
    await rig.stop();
    rig = await startRig(world, cleanup, { folder });
    expect(await gone()).toEqual(said);

    const other = await startRig(world, cleanup);
    await other.client.deliverPolicies([world.policyEnvelope]);
    for (const route of history) await other.client.deliverRoute({ ...route.delivery, isNewest: false });
    await other.deliver(out);
    await status({ retiring: [ending()] }, 'control', other);
    expect(await gone(other.port)).toEqual(said);
  });

  test('without a word about it from control, says what and since when', async () => {
    const out = withdrawal();
    await rig.deliver(out);
    const said = await gone();
    expect(said).toMatchObject({ version: '1.0.0', since: out.document.issuedAt });
    expect(said).not.toHaveProperty('why');
    await announce(ending({ release: 'f'.repeat(64), reason: 'another' }));
    expect(await gone()).toEqual(said);
  });

  test('after a gateway of before has left its state, says that it serves nothing', async () => {
    await rig.deliver(withdrawal());
    const file = join(rig.folder, 'state.json');
    const { folder } = rig;
    await rig.stop();
    const state = JSON.parse(readFileSync(file, 'utf8')) as { routes: { gone?: unknown }[] };
    for (const route of state.routes) delete route.gone;
    writeFileSync(file, JSON.stringify(state));
    rig = await startRig(world, cleanup, { folder });
    expect(await gone()).toMatchObject({ code: 'WITHDRAWN', reason: expect.stringContaining('serves nothing') });
  });

  test('lets the stream end that had begun before, and begins no other', async () => {
    const begun = new Promise<ServerResponse>((resolve) => server.behave((_, outgoing) => resolve(outgoing)));
    const sent = request({ host: '127.0.0.1', port: rig.port, path: '/v2/models/digits' }).end();
    const replica = await begun;
    replica.write('data: 1\n\n');
    const [stream] = (await once(sent, 'response')) as [IncomingMessage];
    const chunks = [String((await once(stream, 'data'))[0])];
    await announce(ending());
    await rig.deliver(withdrawal());
    await status({ retiring: [ending()], revoked: [release.release] });
    expect((await gone())['version']).toBe('1.0.0');
    stream.on('data', (chunk: Buffer) => chunks.push(String(chunk)));
    replica.write('data: 2\n\n');
    replica.end('data: 3\n\n');
    await once(stream, 'end');
    expect([stream.complete, chunks.join('')]).toEqual([true, 'data: 1\n\ndata: 2\n\ndata: 3\n\n']);
  });
});
