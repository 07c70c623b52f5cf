import type * as SceneModule from '../../../examples/digits/story/scene.js';
import type { EndpointStatus } from '../../../domain/endpoint.js';
import type { LifecycleStatus, Stage } from '../../../domain/lifecycle.js';
import { MODEL } from './story.js';
import { until } from './until.js';

type Scene = SceneModule.Scene;
/** Answers once its moment has come. */
export type Moment = (scene: Scene) => Promise<unknown>;

const PATIENCE_SECONDS = 240;
/** PENDING_ACTIVITY_STATE_STARTED of Temporal's API. */
const STARTED = 2;

export interface Kill {
  readonly step: string;
  readonly process: string;
  readonly moment: Moment;
  /** Stopped from the step's beginning on, so that it cannot be done before its moment is seen. */
  readonly held?: true;
}

export interface Landed {
  readonly step: string;
  readonly process: string;
  /** The step that was told when it died. */
  readonly during: string;
}

/** SIGKILLs each process at its moment, once, and waits until the supervisor has started it again. */
export class Killer {
  readonly #kills: readonly Kill[];
  readonly #under: Promise<Landed>[] = [];
  #step = '';

  constructor(kills: readonly Kill[]) {
    this.#kills = kills;
  }

  readonly beside = (scene: Scene): ((step: string) => void) => {
    return (step) => {
      this.#step = step;
      for (const kill of this.#kills.filter((each) => each.step === step)) {
        const landed = this.#kill(scene, kill);
        landed.catch(() => undefined);
        this.#under.push(landed);
      }
    };
  };

  landed(): Promise<readonly Landed[]> {
    return Promise.all(this.#under);
  }

  async #kill(scene: Scene, { step, process: name, moment, held }: Kill): Promise<Landed> {
    if (held === true) process.kill(scene.stack.supervisor.pids()[name] ?? 0, 'SIGSTOP');
    await moment(scene);
    const pid = scene.stack.supervisor.pids()[name];
    if (pid === undefined) throw new Error(`there is no process ${name}`);
    const during = this.#step;
    const again = new Promise<void>((resolve) => {
      const listen = (restarted: string): void => {
        if (restarted !== name) return;
        scene.stack.supervisor.off('restarted', listen);
        resolve();
      };
      scene.stack.supervisor.on('restarted', listen);
    });
    process.kill(pid, 'SIGKILL');
    scene.narrator.say(`   [test] SIGKILL for ${name}`);
    await again;
    return { step, process: name, during };
  }
}

/** As the step begins. */
export const atOnce: Moment = async () => undefined;

/** An attempt of this activity is under way in its zone. */
export const inActivity =
  (workflowId: string, activity: string): Moment =>
  ({ custody }) =>
    until(`the activity ${activity}`, PATIENCE_SECONDS, async () => {
      const { raw } = await custody.temporal.workflow.getHandle(workflowId).describe();
      const pending = raw.pendingActivities?.some(
        ({ activityType, state }) => activityType?.name === activity && Number(state) === STARTED,
      );
      return pending === true ? true : null;
    });

export const atStage =
  (version: string, stage: Stage): Moment =>
  ({ custody }) =>
    until(`${version} at ${stage}`, PATIENCE_SECONDS, async () => {
      const handle = custody.temporal.workflow.getHandle(`lifecycle/${MODEL}/${version}`);
      return (await handle.query<LifecycleStatus>('status')).stage === stage ? true : null;
    });

export const atWeight =
  (version: string, weight: number): Moment =>
  ({ custody }) =>
    until(`${version} at ${weight} %`, PATIENCE_SECONDS, async () => {
      const handle = custody.temporal.workflow.getHandle(`endpoint/${MODEL}`);
      const { serving } = await handle.query<EndpointStatus>('status');
      return serving.some((entry) => entry.version === version && entry.weight === weight) ? true : null;
    });

/** A line of the story has been told. */
export const afterLine =
  (part: string): Moment =>
  ({ narrator }) =>
    until(`“${part}”`, PATIENCE_SECONDS, async () =>
      (narrator as unknown as { lines: readonly string[] }).lines.some((line) => line.includes(part)) ? true : null,
    );
