import { describe, expect, test } from 'vitest';
import { afterLine, atOnce, atStage, atWeight, inActivity, Killer, type Kill } from './support/kills.js';
import { MODEL, tell, type Told } from './support/story.js';

const PROCESSES = 'temporal store vault gateway api control intake signing serving training watch'.split(' ');

/** Each process dies once, where it has something to lose, and each step loses one. */
const KILLS: readonly Kill[] = [
  { step: 'train', process: 'training', moment: inActivity(`training/${MODEL}/v1-0-0`, 'train') },
  { step: 'first', process: 'intake', moment: inActivity(`lifecycle/${MODEL}/1.0.0`, 'validate') },
  { step: 'first', process: 'api', moment: atOnce },
  { step: 'first', process: 'temporal', moment: atStage('1.0.0', 'roll out') },
  { step: 'better', process: 'signing', moment: inActivity(`lifecycle/${MODEL}/1.1.0`, 'signRelease'), held: true },
  { step: 'better', process: 'control', moment: atWeight('1.1.0', 50) },
  { step: 'worse', process: 'watch', moment: inActivity(`endpoint/${MODEL}`, 'watchStep') },
  { step: 'tamper', process: 'serving', moment: afterLine("one bit of 1.0.0's weights is flipped") },
  { step: 'kill', process: 'gateway', moment: afterLine('callers get 503') },
  { step: 'retire', process: 'vault', moment: atStage('1.0.0', 'retire') },
  { step: 'prove', process: 'store', moment: atOnce },
];

// The killed story waits much, mostly for Temporal to give up a worker that is gone: the other is told beside it.
let told: Promise<Told> | null = null;
const undisturbed = (): Promise<Told> => (told ??= tell());

describe.concurrent('the story of a model', () => {
  test('is told to its end: one model retired, one in service, one rolled back, and nobody served a mixture', async () => {
    const { projection, lines, load, refusedLoads, left, secrets } = await undisturbed();
    expect(projection.outcomes).toEqual({ '1.0.0': 'retired', '1.1.0': 'in service', '1.2.0': 'rolled back' });
    expect(projection.routes).toEqual([
      '1 plan: 1.0.0 100 %',
      '2 promote: 1.0.0 100 %',
      '3 plan: 1.1.0 10 %, 1.0.0 90 %',
      '4 plan: 1.1.0 50 %, 1.0.0 50 %',
      '5 plan: 1.1.0 100 %, 1.0.0 0 %',
      '6 promote: 1.1.0 100 %, 1.0.0 0 %',
      '7 plan: 1.2.0 10 %, 1.1.0 90 %, 1.0.0 0 %',
      '8 rollback: 1.1.0 100 %, 1.0.0 0 %',
      '9 restore: 1.1.0 100 %, 1.0.0 0 %',
      '10 withdraw: 1.1.0 100 %',
    ]);
    expect(projection.letters).toEqual(['caller-0', 'caller-1', 'caller-2'].map((id) => `${id}@consumers.example`));
    expect(projection.statements).toMatchObject({ destruction: 1, notice: 1, approval: 10 });
    expect(projection).toMatchObject({ kills: 1, revocations: 1, nonces: 18 });
    const states = lines.flatMap((line) => /^ +at \S+ (\(.*)/.exec(line)?.[1] ?? []);
    expect(states).toEqual([
      '(1.0.0 alone): 1.0.0 100 %',
      '(1.1.0 promoted): 1.1.0 100 %, 1.0.0 0 %',
      '(killed): killed; 1.1.0 100 %, 1.0.0 0 %',
    ]);
    expect(refusedLoads).toBe(1);
    expect(load.mixed).toBe(0);
    expect(left).toEqual([]);
    // People's, zones', the store's, and one for each blob.
    expect(secrets.known).toBeGreaterThan(40);
    expect(secrets.leaked).toEqual([]);
  });

  test('ends the same when each of its processes is killed in the middle of its work', async () => {
    const killer = new Killer(KILLS);
    const disturbed = await tell(killer.beside);
    const landed = await killer.landed();
    expect(landed.map(({ process: name }) => name).sort()).toEqual([...PROCESSES].sort());
    expect(landed.map(({ during }) => during)).toEqual(landed.map(({ step }) => step));
    expect(disturbed.projection).toEqual((await undisturbed()).projection);
    expect(disturbed.load.mixed).toBe(0);
    expect(disturbed.left).toEqual([]);
    expect(disturbed.secrets.leaked).toEqual([]);
  });
});
