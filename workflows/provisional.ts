import { getExternalWorkflowHandle, log, patched } from '@temporalio/workflow';
import type { RoutedPosition } from '../domain/endpoint.js';
import type { LifecycleOutcome } from '../domain/lifecycle.js';
import { endpointId } from '../domain/names.js';
import type { Proviso } from '../domain/provisional.js';
import { routesChangedSignal } from './messages.js';
import type { LifecycleRun } from './run.js';
import { control, serving } from './zones.js';

/** Thrown by whatever a lifecycle waits in, once the time has passed that its release stood until. */
export class Lapsed extends Error {
  readonly proviso: Proviso;

  constructor(proviso: Proviso) {
    super(proviso.why);
    this.proviso = proviso;
  }
}

/** Thrown by whatever a lifecycle waits in, once its release was condemned. */
export class Stopped extends Error {}

/** Finds out until when the release stands, where it stands only provisionally. */
export async function weigh(run: LifecycleRun): Promise<void> {
  const { admission, overridden } = run.progress;
  if (overridden === undefined && admission?.riskAssessment === undefined) return;
  run.stand(await run.insist(() => control.proviso(run.name)));
}

/** Nobody has to do anything for it: a provisional release whose time has passed goes back by itself. */
export async function rollBack(run: LifecycleRun, proviso: Proviso): Promise<LifecycleOutcome> {
  run.closed = `the release stood until ${proviso.until}`;
  run.count(null);
  const { why } = await takeBack(run, proviso);
  return { kind: 'rolled back', reason: why };
}

/** Of histories that were begun earlier: there a lapse was audited before anything was taken back. */
export const AUDITED_LATER = 'audited-later';

/**
 * Recorded first: from then on no step of it is routed. Then callers get the release before it, if there is one; the log is
 * told last, however long it may take none.
 */
export async function takeBack(run: LifecycleRun, proviso: Proviso): Promise<Proviso> {
  const { name } = run;
  const release = run.progress.ingested?.release ?? '';
  run.stand(null);
  const lapsed = await run.part('lapsed', run.stage, () =>
    run.insist(() => control.recordLapse(name, release, proviso)),
  );
  await leaveRoutes(run, release, () => control.revertRelease(name, release));
  if (patched(AUDITED_LATER)) run.audits.add(() => control.noteLapse(name, release));
  return lapsed;
}

/** Takes a release out of the routes, and stops it and whatever else they no longer list. */
export async function leaveRoutes(
  run: LifecycleRun,
  release: string,
  act: () => Promise<RoutedPosition>,
): Promise<void> {
  const { name } = run;
  const { stopped, unnoted } = await run.insist(act);
  if (unnoted !== undefined) run.audits.add(() => control.noteRoute(name.model, unnoted));
  await tellEndpoint(name.model);
  for (const gone of [...stopped.filter((each) => each.release !== release), { ...name, release }])
    await run.insist(() => serving.stopRelease({ model: gone.model, version: gone.version }, gone.release));
}

/** The endpoint reads its routes again at the next occasion in any case. */
async function tellEndpoint(model: string): Promise<void> {
  try {
    await getExternalWorkflowHandle(endpointId(model)).signal(routesChangedSignal);
  } catch (error) {
    log.warn('the endpoint was not told that its routes have changed', { reason: String(error) });
  }
}
