import { allHandlersFinished, condition, continueAsNew } from '@temporalio/workflow';
import type { StagePart } from '../activities/contract.js';
import type { Condemned, NoticeStanding, Progress, Stage } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { Proviso } from '../domain/provisional.js';
import { isDue } from './arguments.js';
import { Audits } from './audits.js';
import { insist, refuseStrays } from './desk.js';
import type { Counting } from './gate.js';
import { Inbox, type CarriedMessages } from './inbox.js';
import type { lifecycle } from './lifecycle.js';
import { LIFECYCLE_DECISIONS, type LifecycleInput } from './messages.js';
import { Lapsed, Stopped } from './provisional.js';
import { listenTo, showRun, straysOf } from './strays.js';
import { obstacleOf, type Failure } from './failures.js';
import { control } from './zones.js';

/** What a continued run takes over: everything else it reads from verified records. */
export interface LifecycleCarried {
  readonly messages: CarriedMessages;
  readonly counting: Counting | null;
}

/** What all stages of a lifecycle share: what is known, what people see, and the places where a history may end. */
export class LifecycleRun {
  readonly name: ReleaseName;
  readonly input: LifecycleInput;
  readonly inbox: Inbox;
  progress: Progress = {};
  counting: Counting | null;
  /** Set by the endpoint's reply; the endpoint is asked before it is believed. */
  rolloutEnded = false;
  /** Whether decisions count now, or may once the gate that is being prepared opens. */
  asking = true;
  /** Until when the release stands; `null`: for good, or not yet known. */
  proviso: Proviso | null = null;
  /** How far the notice of its retirement has come. */
  notice: NoticeStanding | null = null;
  /** A vulnerability notice that has stopped it, until the run acts on it. */
  condemned: Condemned | null = null;
  /** Whether it is known where the release stands. */
  resumed = false;
  /** Some have been told of the retirement that is agreed to, and it is not recorded yet. */
  noticing = false;
  /** The notice of its retirement is over, and answered. */
  leaving = false;
  /** Set once no message can count any more. */
  closed: string | null = null;
  stage: Stage = 'admit';
  /** Something has happened because of which what was refused may come about now. */
  woken = false;
  /** Somebody may depend on it who was not there when it was last looked whom to tell. */
  appeared = false;
  /** Before all of it is in the log the run neither ends nor is handed on. */
  readonly audits = new Audits();
  private why: string | null = null;
  private resting = false;
  private readonly continueAfterEvents: number | null;

  constructor(
    name: ReleaseName,
    input: LifecycleInput,
    continueAfterEvents: number | null,
    carried?: LifecycleCarried,
  ) {
    this.name = name;
    this.input = input;
    this.continueAfterEvents = continueAfterEvents;
    this.counting = carried?.counting ?? null;
    this.inbox = new Inbox(LIFECYCLE_DECISIONS, carried?.messages);
    this.inbox.rest = () => this.resting && this.due() && allHandlersFinished();
    listenTo(this);
    this.inbox.listen();
  }

  refuseStrays(): Promise<never> {
    return refuseStrays(this.name.model, this.inbox, () => straysOf(this));
  }

  /** Answers what a stage has recorded, or enters the stage and does its work: at a full disk it waits for room. */
  async part<K extends keyof Progress>(
    part: K,
    stage: Stage,
    work: () => Promise<NonNullable<Progress[K]>>,
  ): Promise<NonNullable<Progress[K]>> {
    const known = this.progress[part];
    if (known !== undefined) return known;
    this.enter(stage);
    const made = await this.insist(work, obstacleOf);
    this.progress = { ...this.progress, [part]: made };
    return made;
  }

  /** An act that must come to pass: what keeps it from that is shown, and it is tried again. */
  async insist<T>(act: () => Promise<T>, by?: (error: unknown) => Failure | null): Promise<T> {
    // Whoever wakes it is not believed, it only looks again by itself.
    const pause = async (ms: number): Promise<boolean> => {
      await this.until(() => this.woken, ms, 'before it is tried again');
      return false;
    };
    const attempt = (): Promise<T> => {
      this.woken = false;
      return act();
    };
    const trouble = (why: string | null): void => {
      if (why !== this.why) this.held(why);
    };
    // After a pause it is always tried again.
    return (await insist(attempt, { trouble, pause }, by)) as T;
  }

  /** Keeps what a stage ended with; answers what the record says. `later`: it is audited by another call. */
  record<K extends StagePart>(
    part: K,
    value: NonNullable<Progress[K]>,
    later = false,
  ): Promise<NonNullable<Progress[K]>> {
    return control.record<K>(this.name, part, value, this.progress.ingested?.release ?? null, ...(later ? [true] : []));
  }

  stand(proviso: Proviso | null): void {
    this.proviso = proviso;
    showRun(this);
  }

  /**
   * Waits where the run may be handed on to a fresh history; `false` when the time ran out first. Throws `Lapsed` once the
   * release no longer stands, and `Stopped` once it is condemned, whatever else it waits for.
   */
  async until(arrived: () => boolean, ms?: number, summary?: string): Promise<boolean> {
    const end = ms === undefined ? Infinity : Date.now() + ms;
    for (;;) {
      const { proviso } = this;
      if (this.condemned !== null) throw new Stopped();
      const lapses = proviso === null ? Infinity : Date.parse(proviso.until);
      if (proviso !== null && Date.now() >= lapses) throw new Lapsed(proviso);
      const left = Math.min(end, lapses) - Date.now();
      const moved = (): boolean => arrived() || this.proviso !== proviso || this.condemned !== null;
      const happened = await this.atRest(moved, left === Infinity ? undefined : left, summary);
      if (happened ? arrived() : Date.now() >= end) return happened;
    }
  }

  private async atRest(arrived: () => boolean, ms?: number, summary?: string): Promise<boolean> {
    const ready = (): boolean => this.due() && allHandlersFinished() && this.inbox.settled && this.audits.none;
    this.resting = true;
    const either = (): boolean => arrived() || ready();
    const happened =
      ms === undefined
        ? await condition(either).then(() => true)
        : await condition(either, ms, summary === undefined ? {} : { summary });
    this.resting = false;
    if (happened && ready()) await this.handOn();
    return happened;
  }

  /** Refuses all that still arrives, and returns when nothing is unanswered. */
  async close(reason: string): Promise<void> {
    this.closed = reason;
    await condition(() => this.inbox.empty && this.inbox.settled && this.audits.none && allHandlersFinished());
  }

  enter(stage: Stage): void {
    this.stage = stage;
    showRun(this);
  }

  count(counting: Counting | null): void {
    this.counting = counting;
    showRun(this);
  }

  held(why: string | null): void {
    this.why = why;
    showRun(this);
  }

  private handOn(): Promise<never> {
    const carried: LifecycleCarried = { messages: this.inbox.carry(), counting: this.counting };
    return continueAsNew<typeof lifecycle>(this.input, this.continueAfterEvents, carried);
  }

  private due(): boolean {
    return isDue(this.continueAfterEvents);
  }

  get trouble(): readonly string[] {
    return this.why === null ? [] : [this.why];
  }
}
