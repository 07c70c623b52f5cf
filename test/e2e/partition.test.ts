import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { endpointStatus } from '../../client/messages.js';
import { orderKill } from '../../client/requests.js';
import { endpointId } from '../../domain/names.js';
import type { GatewayAddress } from '../../formats/tls.js';
import { Authority } from '../support/certificates.js';
import { Bench, MODEL, type Answered } from './harness.js';
import { startGateway, tellOfGateway } from './support/further-gateway.js';
import { OtherHost, whyNoOtherHost } from './support/network.js';
import { until } from './support/until.js';

/** A second gateway on a host of its own, which control can be cut off from; callers and the serving host always come through. */
const why = whyNoOtherHost();
const [REISSUE_SECONDS, LIFETIME_SECONDS] = [2, 60];
const [ADMIN, TRAFFIC] = [7443, 7080];

let bench: Bench;
let host: OtherHost;
let at: GatewayAddress;

beforeAll(async () => {
  if (why !== null) return;
  host = new OtherHost();
  const freshness = { reissueSeconds: REISSUE_SECONDS, lifetimeSeconds: LIFETIME_SECONDS, whenStale: 'stop' } as const;
  bench = await Bench.start((policy) => ({ ...policy, freshness }));
  await bench.putFirstInService();
  const pki = join(bench.folder, 'pki');
  const authority = await Authority.create(pki);
  const near = await authority.host('near', [host.control.here, host.callers.here]);
  const tls = await authority.host('far', [host.control.there, host.callers.there]);
  // Each zone runs as a user of its own, and this is one file for three of them.
  for (const name of readdirSync(pki)) chmodSync(join(pki, name), 0o644);
  at = { url: `https://${host.control.there}:${ADMIN}`, tls: near };

  await startGateway(bench, {
    name: 'far-gateway',
    listen: { host: host.callers.there, port: TRAFFIC },
    admin: { listen: { host: '0.0.0.0', port: ADMIN }, tls },
    relays: tls,
    prefix: host.prefix,
  });
  const far = { admin: at, url: farUrl() };
  const fromServing = { ...far, admin: { ...at, url: `https://${host.callers.there}:${ADMIN}` } };
  await tellOfGateway(bench, 'serving', fromServing, { relay: { host: host.callers.here, port: 0, tls: near } });
  await tellOfGateway(bench, 'watch', far);
  await tellOfGateway(bench, 'control', far);
  await farAnswers({ status: 200 });
});

afterAll(async () => {
  if (why !== null) return;
  await bench.stop();
  host.remove();
});

const farUrl = (): string => `http://${host.callers.there}:${TRAFFIC}`;
const callFar = (): Promise<Answered> => bench.call(farUrl());
const farAnswers = (expected: Partial<Answered>): Promise<Answered> => bench.answers(expected, farUrl());

describe.skipIf(why !== null)('two gateways, one of them on another host', () => {
  test('both serve; one that is cut off stops within the lifetime of its status document, and comes back killed', async () => {
    // As fresh as can be, so that it is not over before the kill has been taken.
    const since = Date.now();
    await until('the far gateway to have a new status document', 180, async () => {
      const { statusVersion } = await createGatewayClient(at).state();
      return statusVersion !== null && statusVersion > since ? true : null;
    });
    const cutAt = Date.now();
    host.cutControl();
    await bench.signal(endpointId(MODEL), 'kill', orderKill(await bench.signer('oscar'), MODEL, 'while it is cut off'));
    await bench.answers({ status: 503, reason: 'while it is cut off' });
    // It has not heard, and says so by nothing; people are told.
    expect(await callFar()).toMatchObject({ status: 200 });
    const told = await until('control to say who has not stopped', 180, async () => {
      const { trouble } = await endpointStatus(bench.custody, MODEL);
      return trouble.find((each) => each.includes('gateway 2 of 2 has not stopped')) ?? null;
    });
    expect(told).toContain('the policy gives 5 s');

    await farAnswers({ status: 503, reason: 'there is no fresh status document' });
    expect((Date.now() - cutAt) / 1000).toBeLessThanOrEqual(LIFETIME_SECONDS + 1);

    // It hears of the order by the next status document, or by control, which goes on telling it: whichever comes first.
    const [order] = (await endpointStatus(bench.custody, MODEL)).killedBy;
    host.mendControl();
    await until('the far gateway to hear of the order', 180, async () => {
      const { models } = await createGatewayClient(at).state();
      const known = models.find(({ model }) => model === MODEL)?.killedBy.map((held) => held.order) ?? [];
      return order !== undefined && known.includes(order) ? true : null;
    });
    expect(await callFar()).toMatchObject({ status: 503 });
    await bench.restore();
    await farAnswers({ status: 200 });
  });

  test('attack: a kill that a cut-off gateway hears after the restore does nothing', async () => {
    const order = orderKill(await bench.signer('oscar'), MODEL, 'told once');
    await bench.signal(endpointId(MODEL), 'kill', order);
    await farAnswers({ status: 503, reason: 'told once' });
    await bench.restore();
    await farAnswers({ status: 200 });
    await expect(createGatewayClient(at).deliverKill(order)).rejects.toMatchObject({ code: 'REPLAYED' });
    expect(await callFar()).toMatchObject({ status: 200 });
  });

  test('a direct kill reaches both, and says which one it has not reached', async () => {
    const elsewhere = join(bench.folder, 'elsewhere');
    mkdirSync(elsewhere);
    const { description } = bench.custody;
    const gateway = { ...description.gateway, others: [at] };
    writeFileSync(join(elsewhere, 'stack.json'), JSON.stringify({ ...description, gateway }));
    writeFileSync(join(elsewhere, 'root.json'), readFileSync(bench.stack.layout.root));
    const kill = (reason: string) =>
      bench.cli(
        '--state',
        elsewhere,
        'kill',
        MODEL,
        '--direct',
        '--reason',
        reason,
        '--key',
        bench.stack.layout.key('oscar'),
      );

    expect(await kill('straight')).toMatchObject({ code: 0 });
    expect(await callFar()).toMatchObject({ status: 503, reason: 'straight' });
    expect(await bench.call()).toMatchObject({ status: 503, reason: 'straight' });
    await until('control to hear of it', 180, async () =>
      (await endpointStatus(bench.custody, MODEL)).killedBy.length > 0 ? true : null,
    );
    await bench.restore();
    await farAnswers({ status: 200 });

    host.cutControl();
    const partial = await kill('half heard');
    host.mendControl();
    expect(partial).toMatchObject({ code: 7, stderr: expect.stringContaining('not everywhere') as string });
    expect(await bench.call()).toMatchObject({ status: 503, reason: 'half heard' });
    // Control hears of it from the one gateway, and tells the other.
    await farAnswers({ status: 503 });
    await bench.restore();
  });
});

test.runIf(why !== null)('needs root and `ip`, to have another host', () => {
  expect(why).toContain('ip');
});
