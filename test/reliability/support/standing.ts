import { expect } from 'vitest';
import { lifecycleStatus, outcomeOf } from '../../../client/messages.js';
import type { AuditRecord } from '../../../domain/audit.js';
import { startLoad, type Load } from '../../../examples/digits/load.js';
import { FIRST, MODEL, type Bench } from '../../e2e/harness.js';
import { until } from '../../e2e/support/until.js';
import type { Run } from './experiment.js';

const PATIENCE_SECONDS = 300;
const [WAITING, REJECTED, VALIDATED, MOVING] = ['1.1.0', '1.2.0', '1.3.0', '1.4.0'];
const [KILLED, LEAVING, VALIDATING, UNDER_WAY] = ['letters', 'words', 'numbers', 'signs'];
const MAX_SECONDS = 3_600;

/** What stood when a stack was stopped. */
export interface Standing {
  readonly log: readonly AuditRecord[];
  readonly routes: readonly string[];
  readonly asked: string;
  readonly callers: readonly Load[];
}

/** Without callers no rollout would have anything to be judged by. They come until they are stopped. */
export function call(bench: Bench): readonly Load[] {
  const { url } = bench.stack.description.gateway;
  return [KILLED, LEAVING, VALIDATING, UNDER_WAY].map((model) =>
    startLoad({ url, model, ratePerSecond: 10, callers: 10, maxSeconds: MAX_SECONDS }),
  );
}

export async function leave({ callers }: Pick<Standing, 'callers'>): Promise<void> {
  await Promise.all(callers.map((each) => each.stop()));
}

const routesOf = (bench: Bench): Promise<readonly string[]> => bench.keys(`routes/${MODEL}/`);

async function intoService(bench: Bench, model: string, version: string): Promise<void> {
  await bench.start(await bench.source(version, { model }));
  await bench.approve(version, ['alice'], model);
  await bench.reached(version, 'in service', model);
}

/** Something at every stage at which it can be for long, and two releases that are in the midst of theirs. */
export async function stand(bench: Bench): Promise<Standing> {
  const callers = call(bench);
  await bench.putFirstInService();
  for (const version of [WAITING, REJECTED]) await bench.start(await bench.source(version));
  const { gate } = await bench.openGate(WAITING);
  await bench.say('reject', await bench.openGate(REJECTED), ['alice']);
  await bench.reached(REJECTED, 'ended');
  await intoService(bench, KILLED, '1.0.0');
  await bench.done('kill', KILLED, '--reason', 'something is wrong', '--key', 'oscar');
  for (const version of ['1.0.0', '1.1.0']) await intoService(bench, LEAVING, version);
  await bench.done('retire', LEAVING, '1.0.0', '--reason', 'replaced', '--key', 'otto');
  await bench.openGate('1.0.0', LEAVING);
  const standing = { routes: await routesOf(bench), log: await bench.log(), asked: gate.requestId, callers };
  await bench.start(await bench.source(MOVING, { model: UNDER_WAY }));
  await bench.approve(MOVING, ['alice'], UNDER_WAY);
  await bench.start(await bench.source(VALIDATED, { model: VALIDATING }));
  await bench.reached(VALIDATED, 'validate', VALIDATING);
  return standing;
}

/** That all of it goes on, each a fault of this group. Where Temporal has `lost` its database, a retirement that waited is asked for again. */
export function goesOn(
  run: Run,
  group: string,
  now: () => { readonly bench: Bench; readonly before: Standing },
  lost = false,
): void {
  const goes = (what: string, body: (bench: Bench, before: Standing) => Promise<void>): void =>
    run.fault(group, what, () => body(now().bench, now().before));

  goes('in service', async (bench, { routes }) => {
    await bench.answers({ status: 200, version: FIRST.version });
    await bench.reached(FIRST.version, 'in service');
    expect(await routesOf(bench)).toEqual(routes);
  });
  goes('killed', async (bench) => {
    const url = new URL(`/v2/models/${KILLED}/infer`, bench.stack.description.gateway.url);
    const { status } = await fetch(url, { method: 'POST', body: '{}' });
    expect(status).toBe(503);
    await bench.done('restore', KILLED, '--key', 'otto');
    await bench.say('approve', await bench.restoreGate(KILLED), ['oscar', 'olga']);
    await until('it to serve', PATIENCE_SECONDS, async () => {
      const answer = await fetch(url, { method: 'POST', body: '{}' });
      return answer.status === 503 ? null : true;
    });
  });
  goes('ended', async (bench) => {
    const { stdout, code } = await bench.cli('show', `${MODEL}@${REJECTED}`);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('rejected') });
  });
  goes('waits for approval', async (bench, { asked }) => {
    expect((await bench.openGate(WAITING)).gate.requestId).toBe(asked);
    await bench.approve(WAITING, ['alice'], MODEL);
    await bench.reached(WAITING, 'in service');
    await bench.answers({ status: 200, version: WAITING });
  });
  goes('waits to be retired', async (bench) => {
    if (lost) await bench.done('retire', LEAVING, '1.0.0', '--reason', 'replaced', '--key', 'otto');
    await bench.approve('1.0.0', ['alice', 'bob'], LEAVING);
    const name = { model: LEAVING, version: '1.0.0' };
    const outcome = await until('its end', PATIENCE_SECONDS, () => outcomeOf(bench.custody, name));
    expect(outcome).toMatchObject({ kind: 'retired' });
  });
  goes('being validated', async (bench) => {
    await bench.approve(VALIDATED, ['alice'], VALIDATING);
    await bench.reached(VALIDATED, 'in service', VALIDATING);
  });
  goes('on its way into service', (bench) => bench.reached(MOVING, 'in service', UNDER_WAY).then(() => undefined));
  goes('the log, and whatever serves', async (bench, { log }) => {
    expect((await bench.log()).slice(0, log.length)).toEqual(log);
    const serving = [
      [MODEL, WAITING],
      [KILLED, '1.0.0'],
      [LEAVING, '1.1.0'],
      [VALIDATING, VALIDATED],
      [UNDER_WAY, MOVING],
    ] as const;
    for (const [model, version] of serving) {
      expect((await lifecycleStatus(bench.custody, { model, version })).stage).toBe('in service');
      await bench.done('show', `${model}@${version}`);
    }
  });
}
