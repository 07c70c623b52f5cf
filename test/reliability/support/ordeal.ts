import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { until } from '../../e2e/support/until.js';
import type { Scene } from './scene.js';

const KILL_SECONDS = 5;

export interface Fault {
  readonly begin: () => Promise<void> | void;
  readonly end: () => Promise<void> | void;
  readonly lastsMs: number;
  /** The gateway itself is held meanwhile, and answers nobody. */
  readonly holdsGateway?: boolean;
}

export const NOTHING: Fault = { begin: () => undefined, end: () => undefined, lastsMs: 0 };

interface Circumstances {
  /** Where the release is when it begins; at its start, if none is named. */
  readonly moment?: readonly string[];
  /** How what has come of it is read. */
  readonly reading?: (act: () => Promise<void>) => Promise<void>;
}

/**
 * The fault comes while a release is on its way into service. During it an operator kills the other endpoint by `custody kill`,
 * and somebody who is nobody tries to agree to the release. It is survived if
 *  - the kill takes effect within the time that the policy gives it, from its signature on; a gateway that is held serves nobody,
 *    and refuses as soon as it goes on;
 *  - afterwards the release is in service, the kill can be lifted, and callers of both endpoints are served again;
 *  - whoever was served, was served by a release whose whole chain verifies from the store (`custody show`) and that people had
 *    agreed to;
 *  - the log verifies; the refusal and each kill and restore are in it once, and of the release there is exactly what there is of
 *    one that nothing happened to.
 *
 * Answers how many seconds after the signature the last caller was served; none was: `null`.
 */
export async function survived(
  scene: Scene,
  what: string,
  { begin, end, lastsMs, holdsGateway = false }: Fault,
  { moment, reading = (act) => act() }: Circumstances = {},
): Promise<number | null> {
  await scene.settle();
  const release = await scene.begin();
  if (moment !== undefined) await release.reached(moment);
  await begin();
  const begunAt = Date.now();
  let killed;
  try {
    killed = await scene.kill(what);
    await pause(Math.max(0, begunAt + lastsMs - Date.now()));
  } finally {
    await end();
  }
  if (holdsGateway) {
    expect(killed.servedAt, 'a gateway that is held serves nobody').toBe(0);
    await until('the gateway to refuse', KILL_SECONDS, async () => ((await scene.called()) === 503 ? true : null));
  }
  await scene.restore();
  const seconds = killed.servedAt === 0 ? null : (killed.servedAt - (await scene.signedAt(what))) / 1000;
  expect(seconds ?? 0, JSON.stringify(killed.said)).toBeLessThanOrEqual(KILL_SECONDS);
  await release.inService();
  await reading(() => scene.holds(release));
  return seconds;
}
