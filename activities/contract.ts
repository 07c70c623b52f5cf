import type { AlertAct } from '../domain/alert.js';
import type { Digest } from '../domain/digest.js';
import type {
  EndpointPosition,
  Proceeding,
  RolloutEnded,
  RolloutOrder,
  RoutedPosition,
  ServiceBreach,
  ServiceReverted,
  ServiceVerdict,
  StepVerdict,
  Unnoted,
} from '../domain/endpoint.js';
import type {
  Admission,
  Approved,
  Ingested,
  LifecycleOutcome,
  NoticeStanding,
  OpenGate,
  Progress,
  Retirement,
  RolloutResult,
  Signed,
  Validated,
} from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { Proviso } from '../domain/provisional.js';
import type { SignedEnvelope } from '../domain/statements.js';
import type { UnnotedVerdict } from '../domain/step-verdict.js';

/**
 * What the workflows ask of each zone. Arguments and answers are references and small facts, never bytes. Every one is
 * idempotent: what it makes is create-once, and a second call answers what the first one made. A refusal is an
 * `ApplicationFailure` of a permanent `ErrorCode`; anything else is tried again. An activity that refuses the envelope it
 * was given has audited that refusal before it throws, or says with it that the log did not take it (`unnoted`).
 */
export interface Decision {
  readonly message: string;
  readonly envelope: unknown;
}

export type DecisionVerdict =
  | {
      readonly accepted: true;
      readonly by: string;
      readonly statement: Digest;
      /** It counts, and something is wrong all the same. */
      readonly warning?: string;
      /** What followed. */
      readonly outcome?: string;
      /** The log has not taken it so far. */
      readonly unnoted?: boolean;
    }
  | {
      readonly accepted: false;
      readonly code: string;
      readonly reason: string;
      /** The log has not taken the refusal so far: whoever asked has it audited. */
      readonly unnoted?: boolean;
    };

export interface Counted {
  readonly verdicts: readonly DecisionVerdict[];
  readonly outcome:
    | { readonly kind: 'pending'; readonly missing: number }
    | { readonly kind: 'approved'; readonly approved: Approved }
    | {
        readonly kind: 'rejected';
        readonly by: string;
        readonly statement: Digest;
        readonly reason: string;
        /** The log has not taken it so far: what it lowers does not wait. */
        readonly unnoted?: boolean;
      };
}

export interface RoutedStep {
  readonly position: RoutedPosition;
  readonly bakeSeconds: number;
  /** A step without enough evidence by then fails. */
  readonly timeoutSeconds: number;
  readonly last: boolean;
  /** Once it has been watched, people must approve the next step. */
  readonly pauses: boolean;
}

export type ResumedRollout =
  | { readonly kind: 'new' }
  | { readonly kind: 'at'; readonly step: number }
  | { readonly kind: 'ended'; readonly result: RolloutResult };

/** The parts of a release's progress that a zone other than control brings about. */
export type StagePart = 'ingested' | 'validated' | 'overridden' | 'approved' | 'signed' | 'rollout' | 'reviewed';

/** What a gate is there for. */
export type Act = 'deploy' | 'override' | 'proceed' | 'restore' | 'retire' | 'review' | 'lift' | 'train';

/** Zone control: what a lifecycle needs. */
export interface LifecycleControl {
  /** What the records say of a release; empty for a new one. */
  resumeLifecycle(name: ReleaseName): Promise<Progress>;
  /** `assessment`: of an emergency deployment, which the request names. */
  admitRelease(name: ReleaseName, request: unknown, assessment: unknown): Promise<Admission>;
  /** Asks override authorities to lift what has failed. VALIDATION_FAILED where the policy lets nobody do that. */
  openOverrideGate(name: ReleaseName, progress: Progress): Promise<OpenGate>;
  openDeployGate(name: ReleaseName, progress: Progress): Promise<OpenGate>;
  /** Verifies decisions in the order they came, stores those that count, and tallies them with `counted` from before. */
  decide(input: {
    readonly gate: OpenGate;
    readonly act: Act;
    readonly counted: readonly Digest[];
    readonly decisions: readonly Decision[];
  }): Promise<Counted>;
  /** Audits a rejection that counts, and that did not wait for the log. */
  noteRejection(request: Digest, statement: Digest): Promise<void>;
  /** Audits messages that nothing waits for, as one record. */
  refuse(input: {
    readonly model: string;
    readonly decisions: readonly Decision[];
    readonly reason: string;
    /** How many more were thrown away unread, in a flood. */
    readonly dropped: number;
  }): Promise<void>;
  /** Keeps what a stage ended with, create-once, and audits it, unless that is for later; answers what the record says. */
  record<K extends StagePart>(
    name: ReleaseName,
    part: K,
    value: NonNullable<Progress[K]>,
    release: Digest | null,
    later?: boolean,
  ): Promise<NonNullable<Progress[K]>>;
  askEndpoint(model: string, order: RolloutOrder): Promise<void>;
  /** What the endpoint says of a rollout (`rolloutOf`); `null` where there is no endpoint, or it knows nothing of it. */
  rolloutState(model: string, request: Digest): Promise<RolloutResult | 'under way' | null>;
  /** Keeps how it ended, create-once, and audits it; answers what the record says. */
  recordOutcome(name: ReleaseName, release: Digest | null, outcome: LifecycleOutcome): Promise<LifecycleOutcome>;
  /** Until when a release stands that was overridden or deployed in an emergency; `null`: for good. */
  proviso(name: ReleaseName): Promise<Proviso | null>;
  /** Verifies and keeps renewals of the override that a release rests on; answers until when it stands now. */
  renewOverride(
    name: ReleaseName,
    decisions: readonly Decision[],
  ): Promise<{ readonly verdicts: readonly DecisionVerdict[]; readonly proviso: Proviso | null }>;
  openReviewGate(name: ReleaseName, progress: Progress): Promise<OpenGate>;
  /** Records that a release no longer stands; from then on no step of it is routed. It waits for no log. */
  recordLapse(name: ReleaseName, release: Digest, proviso: Proviso): Promise<Proviso>;
  /** Makes a signed summary of why a release no longer stands, and audits that. */
  noteLapse(name: ReleaseName, release: Digest): Promise<void>;
  /**
   * Takes the release out of its endpoint's routes, whose callers are served by the one before it, if there is one. It waits for
   * no log and no gateway, as `rollBack`.
   */
  revertRelease(name: ReleaseName, release: Digest): Promise<RoutedPosition>;
  openRetireGate(name: ReleaseName, release: Digest, request: unknown): Promise<OpenGate>;
  giveNotice(name: ReleaseName, release: Digest, approved: Approved): Promise<Retirement>;
  /** Tells whoever has appeared since, reminds those who have not answered, and says who must. */
  followNotice(name: ReleaseName, release: Digest, retirement: Retirement): Promise<NoticeStanding>;
  /** Verifies acknowledgements and waivers, each by itself, and keeps those that count. */
  answerNotice(
    name: ReleaseName,
    release: Digest,
    retirement: Retirement,
    decisions: readonly Decision[],
  ): Promise<NoticeStanding & { readonly verdicts: readonly DecisionVerdict[] }>;
  /** Takes the release out of its endpoint's routes; where it is not in them, nothing changes. It waits as little. */
  withdrawRelease(name: ReleaseName, release: Digest): Promise<RoutedPosition>;
  noteRoute: EndpointControl['noteRoute'];
  /** Audits that a release has been revoked, and that its keys were destroyed, as far as the store has it. */
  noteErasure(name: ReleaseName, release: Digest): Promise<void>;
  /** Asks every gateway for a release whose keys are gone, and keeps what they say; PENDING while one has anything of it. */
  probeGateways(name: ReleaseName, release: Digest, erased: Digest): Promise<Digest>;
}

/** Zone control: what a policy on its way into force needs. */
export interface PolicyControl {
  /** Verifies the whole chain with this policy as its next, keeps it create-once, audits it, and tells the gateways. */
  applyPolicy(version: number, envelope: unknown): Promise<AppliedPolicy>;
  refuse: LifecycleControl['refuse'];
}

/** Zone control: what it takes to give a release one more signature. */
export interface ResignControl {
  /** Verifies and keeps the request of a person; answers its digest. */
  admitResign(name: ReleaseName, request: unknown): Promise<Digest>;
  recordResigned(name: ReleaseName, request: Digest, resigned: Resigned): Promise<void>;
  refuse: LifecycleControl['refuse'];
}

/** Zone control: what a statement about a consumer needs. */
export interface ConsumerControl {
  /** Verifies what an operator or its owner says of a consumer, audits and keeps it. */
  declareConsumer(consumer: string, sequence: number, envelope: unknown): Promise<DeclaredConsumer>;
  /** Lifecycles of these models look at once whom to tell, where they are in their notice period. */
  wakeEndings(models: readonly string[]): Promise<void>;
  refuse: LifecycleControl['refuse'];
}

/** Zone control: what it takes to have a release verified for another environment. */
export interface PromotionControl {
  /** Verifies and keeps the request of a person; answers its digest. */
  admitPromotion(name: ReleaseName, request: unknown): Promise<Digest>;
  recordPromotion(name: ReleaseName, request: Digest, promoted: Promoted): Promise<void>;
  refuse: LifecycleControl['refuse'];
}

export interface Promoted {
  readonly release: Digest;
  /** Digest of the verification summary. */
  readonly summary: Digest;
}

export interface DeclaredConsumer {
  readonly statement: Digest;
  readonly by: string;
  /** It was known before it was sent again. */
  readonly already: boolean;
  /** Models that it did not depend on before, as far as is known. */
  readonly added: readonly string[];
}

export interface Resigned {
  readonly release: Digest;
  /** Digest of the signature bundle, in `statements/`. */
  readonly signature: Digest;
  /** The key that signs today had signed it before. */
  readonly already: boolean;
}

export interface AppliedPolicy {
  readonly version: number;
  /** Digest of the policy itself, which requests and records name. */
  readonly digest: Digest;
  readonly signers: readonly string[];
  /** It was in force before it was sent again. */
  readonly already: boolean;
}

export interface IntakeActivities {
  ingest(name: ReleaseName, admission: Admission): Promise<Ingested>;
  validate(name: ReleaseName, admission: Admission, ingested: Ingested): Promise<Validated>;
}

export interface SigningActivities {
  signRelease(name: ReleaseName, progress: Progress): Promise<Signed>;
  /** Signs what has been approved once more, with the key of today: on a person's request, after checking everything again. */
  resignRelease(name: ReleaseName, request: Digest): Promise<Resigned>;
  /** Verifies a release that is in service, as a serving host does, and signs what it has found: on a person's request. */
  summariseRelease(name: ReleaseName, request: Digest): Promise<Promoted>;
  revokeRelease(name: ReleaseName, release: Digest, retirement: Retirement): Promise<Digest>;
  /** Destroys the keys, and tries each of them; answers the digest of the statement about that. */
  destroyKeys(name: ReleaseName, release: Digest, retirement: Retirement, revocation: Digest): Promise<Digest>;
  /** Checks what every zone has tried since, and issues the certificate; answers its digest. */
  certify(name: ReleaseName, release: Digest, retirement: Retirement, probed: Probed): Promise<Digest>;
}

/** What the zones have tried once the keys of a release were destroyed. */
export interface Probed {
  readonly signing: Digest;
  readonly serving: SignedEnvelope;
  readonly control: Digest;
}

export interface ServingActivities {
  /** Verifies, materialises and starts the release; returns once its model server answers. */
  startRelease(name: ReleaseName, release: Digest): Promise<void>;
  /** Stops the release's model server and removes its files. */
  stopRelease(name: ReleaseName, release: Digest): Promise<void>;
  /**
   * Tries to load, open and reach a release whose keys are gone (`erased`: the statement about that). Answers its own statement,
   * which only others can keep. PENDING: this host still has something of it.
   */
  probeHost(name: ReleaseName, release: Digest, erased: Digest): Promise<SignedEnvelope>;
}

export interface Killed {
  readonly order: Digest;
  /** How many gateways have stopped. */
  readonly gateways: number;
  /** How long this relay took. */
  readonly ms: number;
  /** Which gateways took longer than the policy gives a kill, or have not answered for so long, in words. */
  readonly late?: readonly string[];
  /** Some gateway has not answered: control goes on trying. */
  readonly open?: boolean;
}

export interface AlertsTaken {
  readonly verdicts: readonly DecisionVerdict[];
  readonly act: AlertAct | null;
  /** Those that only people can answer, and which release each is about. */
  readonly alarms: readonly { readonly statement: Digest; readonly release: Digest; readonly reason: string }[];
}

/** Zone control: what an endpoint needs. */
export interface EndpointControl {
  /** Where the records have it, and what of that may not be in the log yet. */
  resumeEndpoint(model: string): Promise<EndpointPosition & Pick<RoutedPosition, 'unnoted'>>;
  /** Verifies an order and says where the records have it, so that nothing is done twice: not begun, at a step, ended. */
  resumeRollout(model: string, order: RolloutOrder): Promise<ResumedRollout>;
  /**
   * Routes one step of the approved plan: audited first, and it fails closed. It refuses a request whose lifecycle has
   * recorded an end, every step while the endpoint is killed, and one after a pause without what people said (`agreed`).
   */
  routeStep(model: string, order: RolloutOrder, step: number, agreed: Proceeding | null): Promise<RoutedStep>;
  /** Asks people whether `step` may begin, the step before having been watched for its time. */
  openStepGate(model: string, order: RolloutOrder, step: number): Promise<OpenGate>;
  promoteRelease(model: string, order: RolloutOrder): Promise<RoutedPosition>;
  /**
   * One document back to `target`, which the order `actor` names. `null`: ends the plan of the request `actor`, so that the
   * stable release serves all callers; where that plan is not under way nothing changes. It waits for no log and no gateway:
   * what it answers as not noted is for `noteRoute`, what is missing for `confirmRoute`.
   */
  rollBack(model: string, target: Digest | null, reason: string, actor: Digest): Promise<RoutedPosition>;
  /**
   * What a breach in service leads to: back to the release before it, within the policy's window; otherwise an alarm. Where
   * the endpoint has moved on from `revision` meanwhile nothing changes. It waits for no log: that is for `noteBreach`.
   */
  revertService(model: string, revision: number, release: Digest, reason: string): Promise<ServiceReverted>;
  noteBreach(model: string, breached: ServiceBreach): Promise<void>;
  /** Puts a document into the log that has taken effect. */
  noteRoute(model: string, what: Unnoted): Promise<void>;
  /** Ends once all gateways serve by this revision, or by a later one. */
  confirmRoute(model: string, revision: number): Promise<void>;
  /** Verifies an operator's rollback order. One that counts waits for no log: it is for `noteRollback`. */
  checkRollback(
    model: string,
    order: unknown,
  ): Promise<{
    readonly target: Digest | null;
    readonly reason: string;
    readonly by: string;
    readonly statement: Digest;
    /** Since when it counts; not in the log yet. */
    readonly unnoted?: string;
  }>;
  /** Audits an order to roll back to `target` that counts. */
  noteRollback(model: string, order: Digest, target: Digest | null, since: string): Promise<void>;
  /** Keeps what the watch of a step came to as a statement of control's, and puts it into the log. */
  noteVerdict(model: string, judged: UnnotedVerdict): Promise<void>;
  /**
   * Verifies security alerts in the order they came and keeps those that count, each of which counts in this one activity and
   * in no other. Says what has to follow; the others are alarms.
   */
  takeAlerts(model: string, alerts: readonly Decision[]): Promise<AlertsTaken>;
  /** Audits alerts that were taken, with what followed. */
  noteAlerts(model: string, alerts: readonly Digest[], outcome: string): Promise<void>;
  /**
   * Refuses an alert about a model that has never served, and audits that. Where only its endpoint is missing, as after the
   * loss of a namespace, that is started and gets it.
   */
  strayAlert(model: string, alert: unknown): Promise<void>;
  /** Tells the genuine orders of many from the others, and audits those in one go. Nothing is relayed by it. */
  sortKills(model: string, orders: readonly Decision[]): Promise<readonly DecisionVerdict[]>;
  /** Relays one signed order, unchanged, to all gateways at once. */
  killEndpoint(model: string, order: unknown): Promise<Killed>;
  /** Ends once all gateways list an order that some had not answered, and says how long it took; `null`: it was lifted. */
  confirmKill(model: string, order: Digest): Promise<string | null>;
  openRestoreGate(model: string, request: unknown): Promise<OpenGate>;
  restoreEndpoint(model: string, approved: Approved): Promise<EndpointPosition>;
  refuse: LifecycleControl['refuse'];
  decide: LifecycleControl['decide'];
  noteRejection: LifecycleControl['noteRejection'];
  replyRollout(replyTo: string, ended: RolloutEnded): Promise<void>;
}

export interface WatchActivities {
  /**
   * Watches one step on the gateways' counters until its verdict: at the earliest after `bakeSeconds`, unless it fails; what
   * is inconclusive is held, and is the verdict after `timeoutSeconds`. Both count from the first attempt.
   */
  watchStep(
    model: string,
    revision: number,
    release: Digest,
    bakeSeconds: number,
    timeoutSeconds: number,
  ): Promise<StepVerdict>;
  /**
   * Watches a release that serves all callers by a document, until it breaks what it was rolled out with; after some hours it
   * ends by itself. While gateways serve by another document, or are killed, nothing is judged.
   */
  watchService(model: string, revision: number, release: Digest): Promise<ServiceVerdict>;
}
