import type { Digest } from '../../domain/digest.js';
import { shareOf, type EndpointStatus, type RolloutEnded } from '../../domain/endpoint.js';
import type { Seen } from '../../domain/analysis.js';
import { endpointId } from '../../domain/names.js';
import { howTo } from '../actions/shown.js';
import type { LifecycleUnderWay, WaitingGate } from '../messages.js';
import { sparkline, type Trends } from './trend.js';

/** Everything that is seen of one model at one moment. */
export interface Sighting {
  readonly model: string;
  /** What the endpoint's workflow says; `null`: there is none yet, or it is silent. */
  readonly endpoint: EndpointStatus | null;
  /** Why workflows say nothing. */
  readonly silent: string | null;
  readonly gateways: readonly Seen[];
  /** Percent of callers of each step of the rollout under way. */
  readonly steps: readonly number[];
  readonly underWay: readonly Omit<LifecycleUnderWay, 'model'>[];
}

export interface Line {
  readonly text: string;
  /** The text without what is measured: two that agree in it say the same. */
  readonly fact: string;
  readonly tone: 'heading' | 'plain' | 'good' | 'bad' | 'faint';
}

/** The tree of one model. Whoever draws it takes care of what others have written. */
export function drawTree(sighting: Sighting, trends: Trends): readonly Line[] {
  const { endpoint: known, model, silent } = sighting;
  const leaves: Line[] = [
    ...(known === null ? [] : serving(known, sighting.gateways, trends)),
    ...(known === null ? [] : rollout(known, sighting.steps)),
    ...gates(
      known === null || known.gate === null
        ? []
        : [{ workflowId: endpointId(model), gate: known.gate, missing: known.missing }],
    ),
    ...sighting.underWay.flatMap(release),
    ...(known === null ? [] : lastEnded(known.ended)),
    ...gatewaysBehind(sighting, known),
    ...(silent === null ? [] : [line('bad', silent)]),
    ...(known?.trouble ?? []).map((what) => line('bad', `trouble: ${what}`)),
  ];
  return [head(sighting), ...leaves.map((leaf, at) => branch(leaf, at === leaves.length - 1))];
}

function head({ model, endpoint: known, silent }: Sighting): Line {
  if (known === null) return line('heading', `${model}: ${silent === null ? 'not served yet' : 'nobody can tell'}`);
  const { killedBy, revision } = known;
  if (killedBy.length > 0) return line('bad', `${model}: killed, revision ${revision}`);
  const what = known.rollout === null ? 'steady' : `rolling out ${known.rollout.order.version}`;
  return line('heading', `${model}: ${what}, revision ${revision}`);
}

function serving(status: EndpointStatus, gateways: Sighting['gateways'], trends: Trends): Line[] {
  return status.serving.map((entry) => {
    const { release, version } = entry;
    const fact = `${shareOf(entry, status.rollout).padStart(5)}  ${version}`;
    const broken = troubleOf(release, gateways);
    if (broken !== null)
      return { tone: 'bad', fact: `${fact} ${broken}`, text: `${fact} ${measured(release, trends)}  ${broken}` };
    return { tone: 'plain', fact, text: `${fact} ${measured(release, trends)}`.trimEnd() };
  });
}

function measured(release: Digest, trends: Trends): string {
  const moments = trends.of(release);
  const last = moments.at(-1);
  if (last === undefined) return '';
  const failing = last.failing === null ? '   –' : `${(100 * last.failing).toFixed(1).padStart(4)} %`;
  const p95 = last.p95Ms === null ? '–' : `${Math.round(last.p95Ms)} ms`;
  // A share is drawn against the whole, so that a small one looks small.
  const errors = sparkline(
    moments.map((moment) => moment.failing),
    1,
  );
  const times = sparkline(moments.map((moment) => moment.p95Ms));
  return `${last.perSecond.toFixed(1).padStart(7)}/s  errors ${failing} ${errors}  p95 ${p95} ${times}`;
}

function troubleOf(release: Digest, gateways: Sighting['gateways']): string | null {
  for (const state of gateways) {
    if (state === null || state === 'unknown') continue;
    const breaker = state.breakers.find((each) => each.release === release);
    if (breaker !== undefined) return `breaker ${breaker.state}: ${breaker.reason}`;
    if (state.breach?.release === release) return `fails: ${state.breach.reason}`;
  }
  return null;
}

function rollout(status: EndpointStatus, steps: readonly number[]): Line[] {
  if (status.rollout === null) return [];
  const { order, step } = status.rollout;
  const marks = steps.map((weight, at) => `${weight} % ${at < step ? '✓' : at === step ? '●' : '○'}`);
  return [line('plain', `rollout of ${order.version}: ${marks.length === 0 ? 'begins' : marks.join('  ')}`)];
}

function release({ version, stage, waiting, trouble }: Sighting['underWay'][number]): Line[] {
  return [
    line('plain', `${version}: ${stage}`),
    ...gates(waiting === null ? [] : [waiting]),
    ...trouble.map((what) => line('bad', `${version}: trouble: ${what}`)),
  ];
}

function gates(waiting: readonly WaitingGate[]): Line[] {
  return waiting.map((each) =>
    line('good', `waits for ${each.missing} × ${each.gate.role} until ${each.gate.expiresAt}: ${howTo(each)}`),
  );
}

function lastEnded(ended: readonly RolloutEnded[]): Line[] {
  const last = ended.at(-1);
  if (last === undefined) return [];
  const { result } = last;
  if (result.kind === 'promoted') return [line('faint', `last rollout: promoted as revision ${result.revision}`)];
  return [line('bad', `last rollout: ${result.kind}: ${result.reason}`)];
}

function gatewaysBehind({ gateways }: Sighting, known: EndpointStatus | null): Line[] {
  return gateways.flatMap((state, at) => {
    const which = gateways.length === 1 ? 'the gateway' : `gateway ${at + 1} of ${gateways.length}`;
    if (state === null) return [line('bad', `${which} does not answer`)];
    if (known === null || known.revision === 0) return [];
    if (state === 'unknown') return [line('bad', `${which} knows no such model`)];
    return state.revision === known.revision ? [] : [line('faint', `${which} is at revision ${state.revision}`)];
  });
}

function branch({ text, fact, tone }: Line, isLast: boolean): Line {
  return { text: `${isLast ? '└─' : '├─'} ${text}`, fact, tone };
}

function line(tone: Line['tone'], text: string): Line {
  return { text, fact: text, tone };
}
