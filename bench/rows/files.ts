import type { Row } from './row.js';

const MODEL_SIGNING = 'model-signing 1.1.1';
const WHOLE_FILES =
  'one file is hashed by one core: Custody takes no signature over parts of a file, whose parts could be hashed at once, by design, since all of its records name whole files';
const ONE_THREAD =
  'SHA-256 and AES-256-GCM of OpenSSL take as long by themselves, one after the other on one thread of Node.js; what a second thread gained and cost stands in `bench/profiles.md`';
const START = 'the start of Node.js, and of the modules that the command needs';

/** What is done with the files of a release. */
export const FILE_ROWS: readonly Row[] = [
  {
    ...{ bench: 'policy', what: 'read, verify and use a policy of 1,000 authorities', unit: 'ms of processor' },
    ...{ ours: 'medianCpuMs', better: 'less', goal: { value: 50 } },
    limit: 'it is the reading of a thousand keys by OpenSSL, and the shape and canonical form of all that stands there',
  },
  {
    ...{ bench: 'seal', what: 'hash and encrypt one file', unit: 'GB/s', ours: 'gigabytesPerSecond.custody' },
    ...{ better: 'more', goal: { value: 1.6 }, limit: ONE_THREAD },
  },
  {
    ...{ bench: 'seal', what: 'the same beside encryption alone', unit: 'GB/s', ours: 'gigabytesPerSecond.custody' },
    peer: {
      ...{ name: '@aws-crypto/client-node 5.0.2, frames of 1 MiB', at: 'gigabytesPerSecond.awsFramesOfOneMib' },
      there: 0.418,
    },
    ...{ better: 'more', goal: { times: 3.8 }, note: 'the peer only encrypts; Custody also hashes', limit: ONE_THREAD },
  },
  {
    ...{ bench: 'sandbox', what: 'a run in the sandbox, more than bare', unit: 'ms', ours: 'node.addsMs' },
    ...{ better: 'less', goal: { value: 100 } },
  },
  {
    ...{ bench: 'data', what: 'compare training data with what was signed for', unit: 's', ours: 'seconds.custody' },
    ...{ peer: { name: 'sha256sum --check', at: 'seconds.sha256sum' }, better: 'less', goal: { times: 0.8 } },
    limit: 'of small files most is opening them, and Node.js has more to do for that than a program in C',
  },
  {
    ...{ bench: 'prompts', what: 'a changed prompt, from commit to its first answer', unit: 's' },
    ...{ ours: 'secondsToCanary.promptAlone', better: 'less', goal: { value: 10 } },
  },
  {
    ...{ bench: 'ingest', what: 'store 2 GiB, encrypted, locked and read back', unit: 's', ours: 'seconds.custody' },
    peer: { name: 'putObject of minio, plain and unlocked', at: 'seconds.putObject' },
    ...{ better: 'less', goal: { times: 1.2 } },
    limit:
      'both wait for the store, which puts the parts of an upload together by copying them; Custody hashes what it reads, what it sends and what it reads back meanwhile',
  },
  {
    ...{ bench: 'ingest', what: 'memory while it does', unit: 'MiB', ours: 'peakRssMib', better: 'less' },
    goal: { value: 300 },
  },
  ...(
    [
      ['picklescan', 'picklescan 1.0.5', 2.6],
      ['modelscan', 'modelscan 0.8.8', 2.63],
    ] as const
  ).map(([key, name, there]): Row => ({
    ...{ bench: 'scan', what: 'scan a pickle of 12 MB full of opcodes', unit: 's', ours: 'pickle.custody.seconds' },
    ...{ peer: { name, at: `pickle.${key}.seconds`, there }, better: 'less', goal: { times: 20 } },
    ...{ note: 'whole processes', limit: `most of it is ${START}` },
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
      ['oneLargeFile', 'verify the signature of 1 GiB', 1.4, 1.1, WHOLE_FILES],
      [
        ...(['fourFiles', 'verify the signature of four files of 256 MiB, a tokenizer and a configuration'] as const),
        ...([1.5, 0.75, 'both hash on two cores at the speed of SHA-256; what differs is their start'] as const),
      ],
      ['oneTinyFile', 'verify the signature of one tiny file', 6, 0.45, `it is ${START}, and nothing else`],
      [
        'tenThousandFiles',
        'verify the signature of 10,000 files',
        10,
        2.1,
        'the calls of the system that each file takes',
      ],
    ] as const
  ).map(([at, what, times, there, limit]): Row => ({
    ...{ bench: 'verify', what, unit: 's', ours: `${at}.seconds.custody`, better: 'less', goal: { times }, limit },
    peer: { name: MODEL_SIGNING, at: `${at}.seconds.modelSigning`, there },
  })),
  {
    ...{ bench: 'resign', what: 'sign 1 GiB anew of which only the configuration changed', unit: 's' },
    ...{ ours: 'sign.seconds.custody', better: 'less', goal: { times: 12 } },
    peer: { name: MODEL_SIGNING, at: 'sign.seconds.modelSigning', there: 1.1 },
    note: 'Custody takes over what is bound to a locked object; the peer reads all of it again',
    limit: `it is ${START}, and the evidence of the base, which is fetched and verified: it does not grow with the model, as the peer’s does`,
  },
];
