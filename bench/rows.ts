/** One figure: where it stands in what a bench says, beside whom, and what it is to be. */
export interface Row {
  readonly bench: string;
  readonly what: string;
  readonly unit: string;
  readonly ours: string;
  readonly peer?: { readonly name: string; readonly at: string };
  readonly better: 'less' | 'more';
  /** As many times better than the peer, or so much in the row's unit. */
  readonly goal: { readonly times: number } | { readonly value: number };
  /** What is not equal in the comparison, or why the rest is out of reach. */
  readonly note?: string;
}

const MODEL_SIGNING = 'model-signing 1.1.1';
const TESSERA = 'Tessera 1.0.4';
const LAUNCHDARKLY = '@launchdarkly/node-server-sdk 9.13.7';
const SQLITE = 'SQLite in memory, a recursive query';
const WHOLE_FILES =
  'one file is hashed by one core: Custody takes no signature over parts of a file, whose parts could be hashed at once, by design, since all of its records name whole files';
const NAIVE = 'a workflow of one activity after the other';

/** In the order in which the benches run. */
export const ROWS: readonly Row[] = [
  {
    ...{ bench: 'policy', what: 'read, verify and use a policy of 1,000 authorities', unit: 'ms of processor' },
    ...{ ours: 'medianCpuMs', better: 'less', goal: { value: 50 } },
  },
  {
    ...{ bench: 'seal', what: 'hash and encrypt one file', unit: 'GB/s', ours: 'gigabytesPerSecond.custody' },
    ...{ better: 'more', goal: { value: 1.6 } },
  },
  {
    ...{ bench: 'seal', what: 'the same beside encryption alone', unit: 'GB/s', ours: 'gigabytesPerSecond.custody' },
    peer: { name: '@aws-crypto/client-node 5.0.2, frames of 1 MiB', at: 'gigabytesPerSecond.awsFramesOfOneMib' },
    ...{ better: 'more', goal: { times: 3.8 }, note: 'the peer only encrypts; Custody also hashes' },
  },
  {
    ...{ bench: 'sandbox', what: 'a run in the sandbox, more than bare', unit: 'ms', ours: 'node.addsMs' },
    ...{ better: 'less', goal: { value: 100 } },
  },
  {
    ...{ bench: 'data', what: 'compare training data with what was signed for', unit: 's', ours: 'seconds.custody' },
    ...{ peer: { name: 'sha256sum --check', at: 'seconds.sha256sum' }, better: 'less', goal: { times: 0.8 } },
  },
  {
    ...{ bench: 'prompts', what: 'a changed prompt, from commit to its first answer', unit: 's' },
    ...{ ours: 'secondsToCanary.promptAlone', better: 'less', goal: { value: 10 } },
  },
  {
    ...{ bench: 'ingest', what: 'store 2 GiB, encrypted, locked and read back', unit: 's', ours: 'seconds.custody' },
    peer: { name: 'putObject of minio, plain and unlocked', at: 'seconds.putObject' },
    ...{ better: 'less', goal: { times: 1.2 } },
  },
  {
    ...{ bench: 'ingest', what: 'memory while it does', unit: 'MiB', ours: 'peakRssMib', better: 'less' },
    goal: { value: 300 },
  },
  ...(['picklescan', 'modelscan'] as const).map((name): Row => ({
    ...{ bench: 'scan', what: 'scan a pickle of 12 MB full of opcodes', unit: 's', ours: 'pickle.custody.seconds' },
    peer: { name: name === 'picklescan' ? 'picklescan 1.0.5' : 'modelscan 0.8.8', at: `pickle.${name}.seconds` },
    ...{ better: 'less', goal: { times: 20 }, note: 'whole processes: the start of Node.js is most of ours' },
  })),
  {
    ...{ bench: 'scan', what: 'memory while it does', unit: 'MiB', ours: 'pickle.custody.peakRssMib', better: 'less' },
    goal: { value: 90 },
  },
  {
    ...{ bench: 'scan', what: 'scan 2 GiB of safetensors, of the speed of hashing them', unit: 'of 1' },
    ...{ ours: 'safetensors.ofHashingAlone', better: 'more', goal: { value: 0.7 } },
  },
  {
    ...{ bench: 'scan', what: 'memory at the worst that every format lets a file ask for', unit: 'MiB' },
    ...{ ours: 'hostile.peakRssMib', better: 'less', goal: { value: 300 } },
  },
  ...(
    [
      ['oneLargeFile', 'verify the signature of 1 GiB', 1.4, WHOLE_FILES],
      ['fourFiles', 'verify the signature of four files of 256 MiB, a tokenizer and a configuration', 1.5, undefined],
      ['oneTinyFile', 'verify the signature of one tiny file', 6, undefined],
      ['tenThousandFiles', 'verify the signature of 10,000 files', 10, undefined],
    ] as const
  ).map(([at, what, times, note]): Row => ({
    ...{ bench: 'verify', what, unit: 's', ours: `${at}.seconds.custody`, better: 'less', goal: { times } },
    peer: { name: MODEL_SIGNING, at: `${at}.seconds.modelSigning` },
    ...(note === undefined ? {} : { note }),
  })),
  {
    ...{ bench: 'resign', what: 'sign 1 GiB anew of which only the configuration changed', unit: 's' },
    ...{ ours: 'sign.seconds.custody', peer: { name: MODEL_SIGNING, at: 'sign.seconds.modelSigning' } },
    ...{ better: 'less', goal: { times: 12 } },
    note: 'Custody takes over what is bound to a locked object; the peer reads all of it again',
  },
  ...['@fastify/http-proxy', 'http-proxy-3'].map((name): Row => ({
    ...{ bench: 'gateway', what: 'requests through the gateway, on one core', unit: '/s', better: 'more' },
    ours: 'requestsPerSecond.perSecond.medians.custody',
    peer: { name, at: `requestsPerSecond.perSecond.medians.${name.replace('@fastify/', 'fastify-')}` },
    ...{ goal: { times: 2.5 }, note: 'the peers check nothing' },
  })),
  {
    ...{ bench: 'gateway', what: 'the check of one request', unit: 'ns', ours: 'check.nanoseconds', better: 'less' },
    goal: { value: 300 },
  },
  {
    ...{ bench: 'kill', what: 'a kill order until the last of 100 gateways refuses', unit: 'ms, p50' },
    ...{ ours: 'milliseconds.refused.p50', peer: { name: LAUNCHDARKLY, at: 'milliseconds.launchDarkly.p50' } },
    ...{ better: 'less', goal: { times: 1.7 }, note: 'the peer keeps nothing' },
  },
  {
    ...{ bench: 'kill', what: 'the same until all of them have it on disk', unit: 'ms, p99' },
    ...{ ours: 'milliseconds.durable.p99', better: 'less', goal: { value: 8 } },
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
  },
  {
    ...{ bench: 'graph', what: 'the same beside a database', unit: 'µs', ours: 'most.microseconds.custody' },
    ...{ peer: { name: SQLITE, at: 'most.microseconds.sqlite' }, better: 'less', goal: { times: 33 } },
    note: 'SQLite answers every other question, too',
  },
  {
    ...{ bench: 'state', what: 'what one model was at a time', unit: 'µs', ours: 'hot.oneMicroseconds' },
    ...{ better: 'less', goal: { value: 2 } },
  },
  {
    ...{ bench: 'state', what: 'what 2,000 models of 20 versions each were at a time', unit: 'ms' },
    ...{ ours: 'hot.fleetMilliseconds', better: 'less', goal: { value: 1 } },
  },
  {
    ...{ bench: 'state', what: 'the same from a cold start, half a million records', unit: 'ms' },
    ...{ ours: 'cold.milliseconds.snapshot', peer: { name: 'reading all records', at: 'cold.milliseconds.replay' } },
    ...{ better: 'less', goal: { value: 500 } },
  },
  {
    ...{ bench: 'append', what: 'one record: locked, in the tree, signed and proved', unit: 'ms, p50' },
    ...{ ours: 'oneByOne.milliseconds.proved.p50', better: 'less', goal: { times: 100 } },
    peer: { name: `${TESSERA}, published`, at: 'oneByOne.milliseconds.tesseraPublished.p50' },
    note: 'Custody writes to an S3 store of another process, the peer files; the peer syncs, the embedded store does not',
  },
  {
    ...{ bench: 'append', what: 'one record, until it is acknowledged', unit: 'ms, p50' },
    ...{ ours: 'oneByOne.milliseconds.acknowledged.p50', better: 'less', goal: { times: 12 } },
    peer: { name: `${TESSERA}, integrated`, at: 'oneByOne.milliseconds.tesseraIntegrated.p50' },
    note: 'ours is under a signed checkpoint by then, the peer’s is not',
  },
  {
    ...{ bench: 'append', what: 'records from 256 appenders at once', unit: '/s', ours: 'atOnce.perSecond.custody' },
    ...{ peer: { name: TESSERA, at: 'atOnce.perSecond.tessera' }, better: 'more', goal: { times: 2 } },
    note: 'ours are locked in WORM and signed for; the peer’s wait for their checkpoint',
  },
  {
    ...{ bench: 'log-size', what: 'an append at a million records, beside one at a thousand', unit: 'times' },
    ...{ ours: 'growth', better: 'less', goal: { value: 1.1 } },
  },
  {
    ...{ bench: 'log-size', what: 'the proof of one record in a million', unit: 'bytes' },
    ...{ ours: 'largest.proofBytes', better: 'less', goal: { value: 768 } },
  },
  {
    ...{ bench: 'log-size', what: 'verify a log of a million records', unit: 's', ours: 'verify.seconds.custody' },
    ...{ peer: { name: `fsck of ${TESSERA}`, at: 'verify.seconds.fsck' }, better: 'less', goal: { times: 1 } },
  },
  {
    ...{ bench: 'erase', what: 'erase a release of 10,000 files', unit: 's', ours: 'seconds.total', better: 'less' },
    goal: { value: 60 },
  },
  {
    ...{ bench: 'waiting', what: 'releases that wait out a notice, per GiB of the worker', unit: 'releases' },
    ...{ ours: 'worker.releasesPerGib', better: 'more', goal: { value: 3000 } },
  },
  {
    ...{
      bench: 'waiting',
      what: 'events of such a history so far',
      unit: 'events',
      ours: 'events.max',
      better: 'less',
    },
    goal: { value: 100 },
  },
  {
    ...{ bench: 'orchestration', what: 'a whole release into service, Temporal’s side', unit: 'ms, p50' },
    ...{ ours: 'memory.alone.milliseconds.custody.p50', better: 'less', goal: { times: 12 } },
    peer: { name: `${NAIVE}, 20 of them`, at: 'memory.alone.milliseconds.naive.p50' },
  },
  {
    ...{ bench: 'orchestration', what: 'events in all histories of a whole release', unit: 'events', better: 'less' },
    ...{ ours: 'memory.alone.events', peer: { name: `${NAIVE}, 20 of them`, at: 'memory.alone.naive.events' } },
    goal: { times: 1 },
  },
  ...(['memory', 'file'] as const).map((database): Row => ({
    ...{ bench: 'orchestration', what: `50 whole releases at once, Temporal’s database ${of(database)}`, unit: '/s' },
    ...{ ours: `${database}.atOnce.perSecond.custody`, better: 'more' },
    peer: { name: `${NAIVE}, 5 of them`, at: `${database}.atOnce.perSecond.naive` },
    goal: { times: database === 'memory' ? 1.8 : 3.2 },
  })),
];

function of(database: 'memory' | 'file'): string {
  return database === 'memory' ? 'in memory' : 'on a file';
}
