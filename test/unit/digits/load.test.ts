import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startLoad, type Load } from '../../../examples/digits/load.js';

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

interface Seen {
  readonly callers: Set<string>;
  readonly batches: Set<number>;
  underWay: number;
  mostUnderWay: number;
}

type Answer = (response: ServerResponse, number: number) => void;

/** A stand-in for the gateway: notes what arrives and answers as it is told. */
async function gateway(
  answer: Answer,
): Promise<{ url: string; seen: Seen; reached: (count: number) => Promise<void> }> {
  const seen: Seen = { callers: new Set(), batches: new Set(), underWay: 0, mostUnderWay: 0 };
  let arrived = 0;
  let wake = (): void => {};
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    seen.underWay += 1;
    seen.mostUnderWay = Math.max(seen.mostUnderWay, seen.underWay);
    response.once('close', () => (seen.underWay -= 1));
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as { inputs: [{ shape: [number, number] }] };
    seen.callers.add(String(request.headers['x-custody-caller']));
    seen.batches.add(body.inputs[0].shape[0]);
    arrived += 1;
    answer(response, arrived);
    wake();
  };
  server = createServer((request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reached = async (count: number): Promise<void> => {
    while (arrived < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, reached };
}

const OPTIONS = { model: 'digits', ratePerSecond: 1000, callers: 5 };

function ok(response: ServerResponse, header: string, body: string): void {
  response.writeHead(200, { 'x-custody-release': `release-${header}`, 'x-custody-release-version': header });
  response.end(JSON.stringify({ model_version: body, outputs: [{ name: 'label', data: ['1'] }] }));
}

describe('the load generator', () => {
  it('sends batches of 1 to 8 from every caller and counts by status and release', async () => {
    const { url, seen, reached } = await gateway((response, number) => {
      if (number % 4 === 0) response.writeHead(503).end();
      else ok(response, number % 2 === 0 ? '1.0.0' : '1.1.0', number % 2 === 0 ? '1.0.0' : '1.1.0');
    });
    const load = startLoad({ ...OPTIONS, url, maxRequests: 200, maxInFlight: 200 });
    await reached(200);
    const report = await load.stop();
    expect(report).toMatchObject({ requests: 200, byStatus: { 200: 150, 503: 50 }, errors: {}, skipped: 0, mixed: 0 });
    expect(report.byRelease['release-1.1.0']).toMatchObject({ requests: 100, failures: 0 });
    expect(report.byRelease['unnamed']).toMatchObject({ requests: 50, failures: 50 });
    expect([...seen.batches].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(seen.callers.size).toBe(5);
    expect(report.latencyMs.p50).toBeGreaterThan(0);
    expect(report.latencyMs.p50).toBeLessThanOrEqual(report.latencyMs.p95);
  });

  it('counts answers whose body is of another version than the gateway says', async () => {
    const { url, reached } = await gateway((response, number) =>
      ok(response, '1.1.0', number <= 3 ? '1.0.0' : '1.1.0'),
    );
    const load = startLoad({ ...OPTIONS, url, maxRequests: 20 });
    await reached(20);
    expect((await load.stop()).mixed).toBe(3);
  });

  it('counts an answer that is no JSON, and one that never comes, as errors', async () => {
    const { url, reached } = await gateway((response, number) => {
      if (number === 1) response.end('<html>');
      else if (number === 2) response.destroy();
      else ok(response, '1', '1');
    });
    const load = startLoad({ ...OPTIONS, url, maxRequests: 10 });
    await reached(10);
    const report = await load.stop();
    expect(report.requests).toBe(10);
    expect(Object.values(report.errors).reduce((sum, count) => sum + count, 0)).toBe(2);
  });

  it('never has more under way than allowed, and says what it did not send', async () => {
    const held: ServerResponse[] = [];
    const { url, seen, reached } = await gateway((response) => held.push(response));
    const load = startLoad({ ...OPTIONS, url, maxInFlight: 4, maxRequests: 50 });
    await reached(4);
    await skippedSome(load);
    const stopped = load.stop();
    for (const response of held) ok(response, '1', '1');
    const report = await stopped;
    expect(seen.mostUnderWay).toBe(4);
    expect(report.requests).toBe(4);
  });

  it('stops at its signal', async () => {
    const caller = new AbortController();
    const { url, reached } = await gateway((response) => ok(response, '1', '1'));
    const load = startLoad({ ...OPTIONS, url, signal: caller.signal });
    await reached(5);
    caller.abort();
    const { requests, seconds } = await load.stop();
    expect(load.report()).toMatchObject({ requests, seconds });
  });

  it('names a gateway that is not there', async () => {
    const { url } = await gateway(() => {});
    server?.close();
    const load = startLoad({ ...OPTIONS, url, maxRequests: 3 });
    while (load.report().requests < 3) await new Promise((resolve) => setImmediate(resolve));
    expect((await load.stop()).errors).toEqual({ ECONNREFUSED: 3 });
  });

  it('refuses rates and counts that are not numbers above 0', () => {
    for (const ratePerSecond of [0, -1, NaN, Infinity]) {
      expect(() => startLoad({ ...OPTIONS, url: 'http://127.0.0.1:1', ratePerSecond })).toThrow(
        expect.objectContaining({ code: 'USAGE' }),
      );
    }
  });
});

async function skippedSome(load: Load): Promise<void> {
  while (load.report().skipped === 0) await new Promise((resolve) => setImmediate(resolve));
}
