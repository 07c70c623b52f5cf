import { patched } from '@temporalio/workflow';
import type { Digest } from '../domain/digest.js';
import type { LifecycleOutcome, OpenGate, Retirement } from '../domain/lifecycle.js';
import { answering } from './desk.js';
import { awaitGate, opened } from './gate.js';
import { waitOutNotice } from './notice.js';
import { Lapsed, leaveRoutes, takeBack } from './provisional.js';
import type { LifecycleRun } from './run.js';
import { failureOf } from './failures.js';
import { control, serving, signing } from './zones.js';

/** Of histories that were begun earlier: there the revocation came into the log with the outcome. */
const REVOCATION_AUDITED = 'revocation-audited';
/** And there nobody was asked to answer. */
const NOTICE_ANSWERED = 'notice-answered';
/** And there whoever destroyed the keys also certified that. */
const PATHS_PROBED = 'paths-probed';

/** In service until somebody asks for its retirement and a quorum agrees; then notice, drain, revoke, destroy, prove. */
export async function retire(run: LifecycleRun): Promise<LifecycleOutcome> {
  const { name } = run;
  const release = run.progress.ingested?.release ?? '';
  const retirement = await run.part('retirement', 'in service', () => agreed(run, release));
  run.enter('retire');
  if (patched(NOTICE_ANSWERED)) await waitOutNotice(run, release, retirement);
  run.leaving = true;
  await waitOut(run, retirement.retiresAt);

  // From here there is no way back, so what is refused is tried again: a release is not left half retired.
  await leaveRoutes(run, release, () => control.withdrawRelease(name, release));
  const revocation = await run.insist(() => signing.revokeRelease(name, release, retirement));
  run.closed = 'the release is being retired';
  // What is revoked serves nowhere any more, whatever still keeps its keys: that is in the log as soon as it takes it.
  if (patched(REVOCATION_AUDITED)) run.audits.add(() => control.noteErasure(name, release));
  return { kind: 'retired', certificate: await erase(run, release, retirement, revocation) };
}

/**
 * Destroys the keys; then each zone tries to get at the release by its own ways. Where one still can, there is no certificate, and
 * people see why.
 */
export async function erase(
  run: LifecycleRun,
  release: Digest,
  retirement: Retirement,
  revocation: Digest,
): Promise<Digest> {
  const { name } = run;
  const erased = await run.insist(() => signing.destroyKeys(name, release, retirement, revocation));
  if (!patched(PATHS_PROBED)) return erased;
  const [served, routed] = [
    await run.insist(() => serving.probeHost(name, release, erased)),
    await run.insist(() => control.probeGateways(name, release, erased)),
  ];
  const probed = { signing: erased, serving: served, control: routed };
  return run.insist(() => signing.certify(name, release, retirement, probed));
}

/** A release that stands only until some time in the notice period is taken back then, and retires all the same. */
async function waitOut(run: LifecycleRun, until: string): Promise<void> {
  try {
    const left = Date.parse(until) - Date.now();
    if (left > 0) await run.until(() => false, left, `notice until ${until}`);
    run.stand(null);
  } catch (error) {
    if (!(error instanceof Lapsed)) throw error;
    await takeBack(run, error.proviso);
    await waitOut(run, until);
  }
}

/** Waits for a request that is admitted and approved; a refused or expired one leaves the release in service. */
export async function agreed(run: LifecycleRun, release: Digest): Promise<Retirement> {
  for (;;) {
    if (run.counting?.act !== 'retire') {
      await run.until(() => run.inbox.has('retire'));
      const gate = await asked(run, release);
      if (gate !== null) run.count(opened('retire', gate));
    }
    const { counting } = run;
    if (counting?.act !== 'retire') continue;
    run.asking = true;
    const outcome = await awaitGate(run.inbox, counting, run.until.bind(run), (next) => run.count(next));
    run.asking = false;
    run.count(null);
    if (outcome.kind !== 'approved') continue;
    try {
      run.noticing = true;
      const retirement = await control.giveNotice(run.name, release, outcome.approved);
      run.held(null);
      return retirement;
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null) throw error;
      run.noticing = false;
      run.held(`the release is not retired, ask again: ${failure.code}: ${failure.reason}`);
    }
  }
}

/** Opens the gate for the oldest request to retire, or refuses it. Decisions that came with it wait for the gate. */
async function asked(run: LifecycleRun, release: Digest): Promise<OpenGate | null> {
  const [message] = run.inbox.take(['retire'], 1);
  if (message === undefined) return null;
  let gate: OpenGate | null = null;
  run.asking = true;
  await answering([message], async () => {
    gate = await control.openRetireGate(run.name, release, message.decision.envelope);
    return { by: gate.requestId, statement: gate.request };
  });
  run.asking = gate !== null;
  return gate;
}
