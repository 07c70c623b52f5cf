import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { afterLine, atEndpoint, atStage, atWeight, inActivity, Killer, type Kill } from './support/kills.js';
import { MODEL, tell } from './support/story.js';

const PROCESSES = 'temporal store vault gateway control intake signing serving training watch'.split(' ');

/** Each process dies once, where it has something to lose. */
const KILLS: readonly Kill[] = [
  { step: 'train', process: 'training', moment: inActivity(`training/${MODEL}/v1-0-0`, 'train') },
  { step: 'first', process: 'intake', moment: inActivity(`lifecycle/${MODEL}/1.0.0`, 'validate') },
  { step: 'first', process: 'temporal', moment: atStage('1.0.0', 'roll out') },
  { step: 'better', process: 'signing', moment: inActivity(`lifecycle/${MODEL}/1.1.0`, 'signRelease') },
  { step: 'better', process: 'control', moment: atWeight('1.1.0', 50) },
  { step: 'worse', process: 'watch', moment: inActivity(`endpoint/${MODEL}`, 'watchStep') },
  { step: 'tamper', process: 'serving', moment: afterLine("one bit of 1.0.0's weights is flipped") },
  {
    step: 'kill',
    process: 'gateway',
    moment: atEndpoint('the kill', ({ killedBy }) => killedBy.length > 0),
  },
  { step: 'retire', process: 'vault', moment: atStage('1.0.0', 'retire') },
  { step: 'prove', process: 'store', moment: async () => undefined },
];

describe('the story of a model', () => {
  it('ends the same when each of its processes is killed with SIGKILL in the middle of its work', async () => {
    const undisturbed = existsSync('/tmp/und.json') ? JSON.parse(readFileSync('/tmp/und.json','utf8')) as Awaited<ReturnType<typeof tell>> : await tell(); writeFileSync('/tmp/und.json', JSON.stringify(undisturbed));
    console.log(JSON.stringify(undisturbed.projection, null, 1), undisturbed.letters, undisturbed.load.mixed, undisturbed.left, undisturbed.refusedLoads);

    const killer = new Killer(KILLS);
    const disturbed = await tell(killer.beside);
    const landed = await killer.landed();
    expect(landed.map(({ process }) => process).sort()).toEqual([...PROCESSES].sort());
    for (const { step, during } of landed) expect(during).toBe(step);
    expect(disturbed.left).toEqual([]);
    expect(disturbed.projection).toEqual(undisturbed.projection);
  });
});
