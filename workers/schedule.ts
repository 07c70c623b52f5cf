import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type Client,
  type ScheduleOptions,
} from '@temporalio/client';
import type { Records } from '../adapters/records.js';
import { PERIOD_MS } from '../domain/retention.js';
import { startDrill, startRetention } from '../workflows/messages.js';

interface Planned {
  readonly id: 'retention' | 'drill';
  readonly everyMs: number;
  readonly note: string;
  /** With a first run at once. */
  readonly atOnce: boolean;
  readonly action: ReturnType<typeof startDrill>;
}

/**
 * Makes a schedule; one that is there, and that somebody may have changed, is made what it should be. Whether people have
 * paused it is theirs: a run that does not come is an alarm.
 */
async function ensure({ schedule }: Client, { id, everyMs, note, atOnce, action: start }: Planned): Promise<void> {
  const spec = { intervals: [{ every: everyMs }] } satisfies ScheduleOptions['spec'];
  const policies = {
    // One that hangs is not joined by another; one that Temporal's outage has kept from its time is made up for.
    overlap: ScheduleOverlapPolicy.SKIP,
    catchupWindow: everyMs,
    pauseOnFailure: false,
  } satisfies ScheduleOptions['policies'];
  const action = { type: 'startWorkflow', workflowType: id, args: [], ...start } satisfies ScheduleOptions['action'];
  try {
    await schedule.create({ scheduleId: id, spec, policies, action, state: { triggerImmediately: atOnce, note } });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await schedule.getHandle(id).update(({ state }) => {
      // What is said of a pause is people's, too.
      const said = state.paused ? {} : { note };
      return { spec, policies, action, state: { ...state, ...said } };
    });
  }
}

/** The schedule that extends locks, with a first run at once. */
export function ensureRetentionSchedule(client: Client): Promise<void> {
  const note = 'extends the locks of what must stay';
  return ensure(client, { id: 'retention', everyMs: PERIOD_MS, note, atOnce: true, action: startRetention() });
}

const LOOK_MS = 1_000;

/**
 * Keeps the schedule of drills in step with the policy: made, changed or taken away when the policy says something else. A
 * loop of its own, so that a Temporal that hangs keeps nothing else waiting.
 */
export class DrillSchedule {
  readonly #client: Client;
  readonly #records: Records;
  readonly #onError: (error: unknown) => void;
  #followed = 0;
  #stopped = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(client: Client, records: Records, onError: (error: unknown) => void) {
    this.#client = client;
    this.#records = records;
    this.#onError = onError;
  }

  start(): void {
    const round = async (): Promise<void> => {
      await this.follow().catch((error: unknown) => this.#onError(error));
      if (!this.#stopped) this.#timer = setTimeout(() => void round(), LOOK_MS);
    };
    void round();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async follow(): Promise<void> {
    const { version, drills } = (await this.#records.policies()).newest;
    if (version === this.#followed) return;
    if (drills === undefined) await this.#takeAway();
    else {
      const note = `drills ${drills.model}, as the policy has it`;
      const everyMs = drills.everySeconds * 1000;
      await ensure(this.#client, { id: 'drill', everyMs, note, atOnce: false, action: startDrill() });
    }
    this.#followed = version;
  }

  async #takeAway(): Promise<void> {
    try {
      await this.#client.schedule.getHandle('drill').delete();
    } catch (error) {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    }
  }
}
