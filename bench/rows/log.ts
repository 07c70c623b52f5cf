import type { Row } from './row.js';

const TESSERA = 'Tessera 1.0.4';
const OVER_HTTP =
  'a record is in WORM before it counts: requests to a store that is another process, where the peer writes files of its own';

/** What the log costs, and the proof of an erasure. */
export const LOG_ROWS: readonly Row[] = [
  {
    ...{ bench: 'append', what: 'one record: locked, in the tree, signed and proved', unit: 'ms, p50' },
    ...{ ours: 'oneByOne.milliseconds.proved.p50', better: 'less', goal: { times: 100 } },
    peer: { name: `${TESSERA}, published`, at: 'oneByOne.milliseconds.tesseraPublished.p50', there: 122.9 },
    note: 'Custody writes to an S3 store of another process, the peer files; the peer syncs, the embedded store does not',
    limit: OVER_HTTP,
  },
  {
    ...{ bench: 'append', what: 'one record, until it is acknowledged', unit: 'ms, p50' },
    ...{ ours: 'oneByOne.milliseconds.acknowledged.p50', better: 'less', goal: { times: 12 } },
    peer: { name: `${TESSERA}, integrated`, at: 'oneByOne.milliseconds.tesseraIntegrated.p50', there: 12.9 },
    ...{ note: 'ours is under a signed checkpoint by then, the peer’s is not', limit: OVER_HTTP },
  },
  {
    ...{ bench: 'append', what: 'records from 256 appenders at once', unit: '/s', ours: 'atOnce.perSecond.custody' },
    ...{ better: 'more', goal: { times: 2 } },
    peer: { name: TESSERA, at: 'atOnce.perSecond.tessera', there: 42_700 },
    note: 'ours are locked in WORM and signed for; the peer’s wait for their checkpoint',
    limit: OVER_HTTP,
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
    note: 'fsck hashes on two threads; Custody also reads each record, and knows each id once',
    limit: 'a third is hashing, a third the reading of each record and its canonical form, on one thread of Node.js',
  },
  {
    ...{ bench: 'erase', what: 'erase a release of 10,000 files', unit: 's', ours: 'seconds.total', better: 'less' },
    goal: { value: 60 },
  },
];
