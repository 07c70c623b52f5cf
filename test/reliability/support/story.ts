import type { ActivityName } from '../../support/zones.js';
import { effectsOf, type Effects } from './effects.js';
import { Zones, type Attempt, type Fault } from './faults.js';
import { notRecorded, terminate } from './histories.js';
import { People } from './people.js';
import type { Stage } from './stage.js';
import { Town, type TownOptions } from './town.js';
import { Witness } from './witness.js';

export interface Cast {
  readonly town: Town;
  readonly people: People;
  readonly witness: Witness;
  readonly zones: Zones;
  readonly stage: Stage;
}

/** What happens in a town from its beginning to its end. */
export interface Story {
  readonly town?: TownOptions;
  readonly tell: (cast: Cast) => Promise<void>;
}

/** How a story went. */
export interface Told {
  readonly broken: readonly string[];
  readonly effects: Effects;
  readonly certificates: readonly string[];
  readonly attempts: readonly Attempt[];
  readonly isStruck: boolean;
  /** How many callers were answered. */
  readonly answers: number;
}

let count = 0;

/** Tells a story under a fault, watched all the time; answers once nothing of it is under way any more. */
export async function tell(
  stage: Stage,
  { town: options = {}, tell: play }: Story,
  fault: { readonly activity: ActivityName; readonly kind: Fault } | null,
): Promise<Told> {
  return inTown(stage, options, fault, async (cast) => {
    await play(cast);
    const { town, people, witness, zones } = cast;
    await people.settled();
    await witness.end();
    const unrecorded = await notRecorded(people.handles(), zones.attempts);
    return {
      broken: [...witness.broken, ...unrecorded, ...town.troubles],
      effects: await effectsOf(town),
      certificates: await certificatesOf(town),
      ...{ attempts: zones.attempts, isStruck: zones.isStruck },
      answers: Object.values(witness.answers).reduce((sum, each) => sum + each, 0),
    };
  });
}

/** A town of its own with its callers, for as long as `act` takes; nothing of it goes on afterwards. */
export async function inTown<T>(
  stage: Stage,
  options: TownOptions,
  fault: Parameters<typeof tell>[2],
  act: (cast: Cast) => Promise<T>,
): Promise<T> {
  const model = `town-${(count += 1)}`;
  const town = await Town.open(model, stage.client, options);
  const witness = new Witness(town);
  const zones = new Zones(town, witness, fault);
  const people: People = new People(town, stage.client, witness, zones);
  stage.add(model, zones);
  try {
    witness.call();
    return await act({ town, people, witness, zones, stage });
  } finally {
    await witness.end();
    await terminate(people.handles());
    zones.exhume();
    await town.close();
    stage.remove(model);
  }
}

async function certificatesOf({ records }: Town): Promise<string[]> {
  const found: string[] = [];
  for await (const key of records.bucket.list('records/'))
    if (key.endsWith('/destruction')) found.push(((await records.record(key)) as { certificate: string }).certificate);
  return found;
}
