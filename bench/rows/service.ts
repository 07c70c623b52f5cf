import type { Row } from './row.js';

const LAUNCHDARKLY = '@launchdarkly/node-server-sdk 9.13.7';
const ONE_PROCESS =
  'a hundred gateways check its signature one after the other in this one process, as the peer’s subscribers share one; in life each has a process and a disk';
const SCATTERED =
  'the nodes are met in an order in which they do not lie in memory, and the memory of this machine is slow: the database takes as many times longer here';
const APART =
  'each model is a search in a list of times of its own, which lie apart in memory: what is left is the waiting for that memory, which is slow here';

/** What happens to requests, and what is asked about models. */
export const SERVICE_ROWS: readonly Row[] = [
  ...['@fastify/http-proxy', 'http-proxy-3'].map((name): Row => ({
    ...{ bench: 'gateway', what: 'requests through the gateway, on one core', unit: '/s', better: 'more' },
    ours: 'requestsPerSecond.perSecond.medians.custody',
    peer: { name, at: `requestsPerSecond.perSecond.medians.${name.replace('@fastify/', 'fastify-')}` },
    ...{ goal: { times: 2.5 }, note: 'the peers check nothing' },
    limit: 'what is left is the reading and writing of HTTP by Node.js on either side',
  })),
  {
    ...{ bench: 'gateway', what: 'the check of one request', unit: 'ns', ours: 'check.nanoseconds', better: 'less' },
    goal: { value: 300 },
  },
  {
    ...{ bench: 'kill', what: 'a kill order until the last of 100 gateways refuses', unit: 'ms, p50' },
    ...{ ours: 'milliseconds.refused.p50', better: 'less', goal: { times: 1.7 } },
    peer: { name: LAUNCHDARKLY, at: 'milliseconds.launchDarkly.p50', there: 4.5 },
    ...{ note: 'the peer verifies nothing and keeps nothing', limit: ONE_PROCESS },
  },
  {
    ...{ bench: 'kill', what: 'the same until all of them have it on disk', unit: 'ms, p99' },
    ...{ ours: 'milliseconds.durable.p99', better: 'less', goal: { value: 8 }, limit: ONE_PROCESS },
  },
  {
    ...{ bench: 'kill', what: 'a kill order until one gateway refuses', unit: 'ms, p50', better: 'less' },
    ...{ ours: 'oneGateway.refused.p50', goal: { value: 2.5 } },
  },
  {
    ...{ bench: 'kill', what: 'the same until it has it on disk', unit: 'ms, p99', better: 'less' },
    ...{ ours: 'oneGateway.durable.p99', goal: { value: 8 } },
    limit:
      'two writes are synced one after the other, the file and its folder; the slowest of a hundred are the disk’s',
  },
  {
    ...{ bench: 'condemn', what: 'a signed vulnerability notice until the last answer, at 1,000 requests/s' },
    ...{ unit: 'ms, p99', ours: 'milliseconds.lastAnswered.p99', better: 'less', goal: { value: 100 } },
    note: 'client, server, model and the whole stack share the machine',
  },
  {
    ...{ bench: 'breach', what: 'the last bad answer that is needed until callers get the stable release' },
    ...{ unit: 'ms, p99', ours: 'millisecondsToStable.p99', better: 'less', goal: { value: 50 } },
    note: 'Flagger, whose interval is at least 10 s, is not run beside',
  },
  {
    ...{ bench: 'endpoints', what: 'a kill of one of 1,000 endpoints until it is refused', unit: 'ms', better: 'less' },
    ...{ ours: 'most.refusedMs', goal: { value: 2.5 } },
  },
  {
    ...{ bench: 'graph', what: 'all that need a model, 100,000 nodes and 300,000 edges', unit: 'µs', better: 'less' },
    ...{ ours: 'most.microseconds.custody', goal: { value: 5000 } },
    note: 'of a graph that is there, as the table and its index are',
    limit: SCATTERED,
  },
  {
    ...{ bench: 'graph', what: 'the same beside a database', unit: 'µs', ours: 'most.microseconds.custody' },
    ...{ better: 'less', goal: { times: 33 }, note: 'SQLite answers every other question, too' },
    limit: SCATTERED,
    peer: { name: 'SQLite in memory, a recursive query', at: 'most.microseconds.sqlite', there: 167_000 },
  },
  {
    ...{ bench: 'state', what: 'what one model was at a time', unit: 'µs', ours: 'hot.oneMicroseconds' },
    ...{ better: 'less', goal: { value: 2 }, limit: APART },
  },
  {
    ...{ bench: 'state', what: 'what 2,000 models of 20 versions each were at a time', unit: 'ms' },
    ...{ ours: 'hot.fleetMilliseconds', better: 'less', goal: { value: 1 }, limit: APART },
  },
  {
    ...{ bench: 'state', what: 'the same from a cold start, half a million records', unit: 'ms' },
    ...{ ours: 'cold.milliseconds.snapshot', peer: { name: 'reading all records', at: 'cold.milliseconds.replay' } },
    ...{ better: 'less', goal: { value: 500 } },
  },
];
