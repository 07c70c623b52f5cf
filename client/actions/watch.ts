import { setTimeout } from 'node:timers/promises';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import type { Digest } from '../../domain/digest.js';
import type { EndpointStatus } from '../../domain/endpoint.js';
import { CustodyError } from '../../domain/errors.js';
import type { GatewayState } from '../../domain/gateway.js';
import { assertModelName } from '../../domain/names.js';
import { isoTime } from '../../domain/time.js';
import type { Custody } from '../connect.js';
import { interruption } from '../interruption.js';
import { endpointStatus, lifecyclesUnderWay } from '../messages.js';
import type { ConnectedSession } from '../session.js';
import { LogCanvas, TerminalCanvas, type Canvas } from '../watching/canvas.js';
import { drawTree, type Sighting } from '../watching/tree.js';
import { Trends } from '../watching/trend.js';

const EVERY_MS = 1_000;

/** Draws what goes on until it is interrupted; with `--json`, one JSON value a line at each look. */
export async function watch(session: ConnectedSession, model?: string): Promise<void> {
  if (model !== undefined) assertModelName(model);
  const signal = interruption();
  const look = createLook(session.custody, model ?? null);
  const trends = new Map<string, Trends>();
  const canvas = canvasFor(session);
  while (!signal.aborted) {
    const sightings = await look();
    const at = performance.now();
    for (const { model: of, gateways } of sightings) {
      const trend = trends.get(of) ?? new Trends();
      trends.set(of, trend);
      trend.add(
        gateways.flatMap((state) => state ?? []),
        at,
      );
    }
    if (canvas === null) process.stdout.write(`${JSON.stringify({ at: isoTime(Date.now()), models: sightings })}\n`);
    else canvas.draw(sightings.flatMap((each) => drawTree(each, trends.get(each.model) ?? new Trends())));
    await setTimeout(EVERY_MS, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

function canvasFor({ json }: ConnectedSession): Canvas | null {
  if (json) return null;
  if (process.stdout.isTTY) return new TerminalCanvas(process.stdout);
  return new LogCanvas(
    (text) => process.stdout.write(text),
    () => isoTime(Date.now()),
  );
}

/** Looks at one model, or at all of them. Whoever does not answer is part of what is seen. */
function createLook(custody: Custody, only: string | null): () => Promise<readonly Sighting[]> {
  const { admin, others } = custody.description.gateway;
  const gateways = [admin, ...others].map((address) => createGatewayClient(address));
  const steps = createSteps(custody);
  return async () => {
    const asked = await Promise.allSettled(gateways.map((gateway) => gateway.state()));
    const states = asked.map((each) => (each.status === 'fulfilled' ? each.value : null));
    const underWay = await orWhy(() => lifecyclesUnderWay(custody, only));
    const lifecycles = 'silent' in underWay ? [] : underWay.told;
    const models = only === null ? modelsOf(states, lifecycles) : [only];
    return Promise.all(
      models.map(async (model): Promise<Sighting> => {
        const endpoint = await orWhy(() => endpointOf(custody, model));
        const status = 'silent' in endpoint ? null : endpoint.told;
        const rollout = status?.rollout ?? null;
        return {
          model,
          endpoint: status,
          silent: 'silent' in endpoint ? endpoint.silent : 'silent' in underWay ? underWay.silent : null,
          gateways: states.map((state) =>
            state === null ? null : (state.models.find((each) => each.model === model) ?? 'unknown'),
          ),
          steps: rollout === null ? [] : await steps(rollout.order.request),
          underWay: lifecycles.filter((each) => each.model === model),
        };
      }),
    );
  };
}

/** What was told, or why nothing was: what goes on is watched on. */
async function orWhy<T>(ask: () => Promise<T>): Promise<{ readonly told: T } | { readonly silent: string }> {
  try {
    return { told: await ask() };
  } catch (error) {
    if (error instanceof CustodyError) return { silent: error.message };
    throw error;
  }
}

function modelsOf(states: readonly (GatewayState | null)[], underWay: readonly { readonly model: string }[]): string[] {
  const served = states.flatMap((state) => state?.models ?? []);
  return [...new Set([...served, ...underWay].map(({ model }) => model))].sort();
}

/** `null`: there is no such endpoint yet. */
async function endpointOf(custody: Custody, model: string): Promise<EndpointStatus | null> {
  try {
    return await endpointStatus(custody, model);
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'INPUT_MISSING') return null;
    throw error;
  }
}

/** The steps that a request to deploy was approved with: they never change. */
function createSteps({ records }: Custody): (request: Digest) => Promise<readonly number[]> {
  const known = new Map<Digest, readonly number[]>();
  return async (request) => {
    const before = known.get(request);
    if (before !== undefined) return before;
    const { action } = (await records.get('request', request)).verified.predicate;
    const weights = action.kind === 'deploy' ? action.plan.map(({ weight }) => weight) : [];
    known.set(request, weights);
    return weights;
  };
}
