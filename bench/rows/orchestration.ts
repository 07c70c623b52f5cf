import type { Row } from './row.js';

const NAIVE = 'a workflow of one activity after the other';
const TRIED = 'running control’s own beside its workflows was tried and left out, as `bench/profiles.md` says';
const ALONE = `the goal leaves room for the steps of the other zones and no others; ${TRIED}`;
const AT_ONCE = `the server carries as many steps a second for either side; those of the four other zones, which share neither process nor key with control, are by themselves more than the peer has in all, and ${TRIED}`;

/** What Temporal costs. */
export const ORCHESTRATION_ROWS: readonly Row[] = [
  {
    ...{ bench: 'waiting', what: 'releases that wait out a notice, per GiB of the worker', unit: 'releases' },
    ...{ ours: 'worker.releasesPerGib', better: 'more', goal: { value: 3000 } },
  },
  {
    ...{ bench: 'waiting', what: 'events of such a history so far', unit: 'events', ours: 'events.max' },
    ...{ better: 'less', goal: { value: 100 } },
  },
  {
    ...{ bench: 'orchestration', what: 'a whole release into service, Temporal’s side', unit: 'ms, p50' },
    ...{ ours: 'memory.alone.milliseconds.custody.p50', better: 'less', goal: { times: 12 }, limit: ALONE },
    peer: { name: `${NAIVE}, 20 of them`, at: 'memory.alone.milliseconds.naive.p50' },
  },
  {
    ...{ bench: 'orchestration', what: 'events in all histories of a whole release', unit: 'events', better: 'less' },
    ...{ ours: 'memory.alone.events', peer: { name: `${NAIVE}, 20 of them`, at: 'memory.alone.naive.events' } },
    ...{ goal: { times: 1 }, limit: `a release has more steps than the peer, and two workflows; ${TRIED}` },
  },
  ...(
    [
      ['memory', 'in memory', 1.8, 25],
      ['file', 'on a file', 3.2, 7.7],
    ] as const
  ).map(([database, where, times, there]): Row => ({
    ...{ bench: 'orchestration', what: `50 whole releases at once, Temporal’s database ${where}`, unit: '/s' },
    ...{ ours: `${database}.atOnce.perSecond.custody`, better: 'more', goal: { times } },
    ...{ peer: { name: `${NAIVE}, 5 of them`, at: `${database}.atOnce.perSecond.naive`, there }, limit: AT_ONCE },
  })),
];
