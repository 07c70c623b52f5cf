import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { detectSandbox } from '../../../adapters/sandbox/sandbox.js';
import { replaceFile } from '../../../client/files.js';
import { readKey } from '../../../client/init.js';
import { endpointStatus, lifecycleStatus, outcomeOf } from '../../../client/messages.js';
import { provenanceBeside, writeProvenance } from '../../../client/provenance.js';
import { askAs, startRelease, startTraining, uiAddress, type ReleaseSource } from '../../../client/start.js';
import { CustodyError } from '../../../domain/errors.js';
import { endpointId } from '../../../domain/names.js';
import { dependenciesOf } from '../../../domain/provenance.js';
import { isoTime } from '../../../domain/time.js';
import { omsResources, parseManifest } from '../../../formats/manifest.js';
import { signOms } from '../../../formats/oms.js';
import { readProvenance } from '../../../formats/provenance.js';
import { sha256 } from '../../../formats/sha256.js';
import { digitsFolder, hyperparametersOf } from '../assets.js';
import { SHIPPED_VERSIONS, shippedFolder, shippedProvenance } from '../ship.js';
import { approve, eventually, hasPassed, MODEL, NotYet, openGate, signer, trainingGate, type Scene } from './scene.js';

type Sources = ReadonlyMap<string, ReleaseSource>;

/** Trains every version in the sandbox; on a host without one the shipped models are taken, and the story says so. */
export async function train(scene: Scene, inputs: { data: string; commit: string }): Promise<Sources> {
  const { narrator } = scene;
  narrator.step('A digit classifier is trained on 1,400 of 1,797 images, in a sandbox');
  const kind = await detectSandbox();
  if (kind === null) {
    narrator.say(
      'this host allows no sandbox, so nothing is trained: the models shipped with Custody are taken instead',
    );
    return new Map(SHIPPED_VERSIONS.map((version) => [version, signShipped(scene, version)]));
  }
  const sources = new Map<string, ReleaseSource>();
  for (const version of SHIPPED_VERSIONS) {
    const run = `v${version.replaceAll('.', '-')}`;
    const hyperparameters = sha256(readFileSync(join(digitsFolder(), hyperparametersOf(version))));
    const asked = { model: MODEL, version, run, trainer: 'digits', hyperparameters, ...inputs };
    const ci = await signer(scene, 'ci');
    const started = await eventually('the training', () => startTraining(scene.custody, ci, asked));
    const waiting = await trainingGate(scene, started.workflowId);
    if (waiting !== null) await approve(scene, waiting, 'alice', 'the data and the code are what we agreed on');
    const handle = scene.custody.temporal.workflow.getHandle(started.workflowId);
    const outcome = await narrator.timed(`${version} was trained without network (${kind})`, () =>
      eventually(
        'the training',
        () =>
          handle.result() as Promise<{
            kind: string;
            source?: string;
            bundle?: string;
            provenance?: string;
            reason?: string;
          }>,
      ),
    );
    narrator.watch(started.ui);
    const { source, bundle, provenance } = outcome;
    if (source === undefined || bundle === undefined || provenance === undefined)
      throw new CustodyError('INTERNAL', `training ${version} was refused: ${outcome.reason ?? ''}`);
    const found = { folder: toPath(source), bundle: toPath(bundle), provenance: toPath(provenance) };
    if (version === SHIPPED_VERSIONS[0]) tellProvenance(scene, found);
    sources.set(version, found);
  }
  return sources;
}

/** What its producer has signed of how it came to be. */
function tellProvenance({ narrator }: Scene, { folder, provenance }: ReleaseSource): void {
  const release = sha256(readFileSync(join(folder, 'custody.json')));
  const made = readProvenance(readFileSync(provenance), provenance, release);
  for (const { name, commit, reviewers = [] } of dependenciesOf(made, 'training-code'))
    if (commit !== undefined)
      narrator.say(`with ${name} at ${commit.slice(0, 12)}, reviewed by ${reviewers.join(', ')}`);
  for (const { name, sha256: digest } of dependenciesOf(made, 'training-data'))
    narrator.say(`on the data ${name}, ${digest ?? ''}`);
}

function toPath(address: string): string {
  return address.startsWith('file://') ? new URL(address).pathname : address;
}

function signShipped({ stack }: Scene, version: string): ReleaseSource {
  const folder = join(stack.layout.folder('shipped'), version);
  if (!existsSync(folder)) cpSync(shippedFolder(version), folder, { recursive: true });
  const text = readFileSync(join(folder, 'custody.json'));
  const bundle = `${folder}.sig.json`;
  const key = readKey(stack.layout.key('trainer'));
  const manifest = parseManifest(text);
  replaceFile(bundle, signOms(`${MODEL} ${version}`, omsResources(manifest, text), key));
  const provenance = provenanceBeside(bundle);
  const said = shippedProvenance(version);
  const release = sha256(text);
  writeProvenance(provenance, { manifest, release }, readProvenance(readFileSync(said), said, release), key);
  return { folder, bundle, provenance };
}

function sourceOf(sources: Sources, version: string): ReleaseSource {
  const source = sources.get(version);
  if (source === undefined) throw new CustodyError('INTERNAL', `there is no ${version}`);
  return source;
}

/** From the request to the approval; what an earlier telling has approved is not asked again. */
async function ask(scene: Scene, sources: Sources, version: string, reason: string): Promise<void> {
  const { narrator, custody } = scene;
  const ci = await signer(scene, 'ci');
  const started = await eventually('the start', () => startRelease(custody, askAs(ci), sourceOf(sources, version)));
  narrator.decided('ci', `asks for ${version}`);
  narrator.watch(started.ui);
  const name = { model: MODEL, version };
  const waiting = await narrator.timed('ingested, encrypted, validated against an isolated replica', () =>
    openGate(scene, name, 'approve'),
  );
  const { ingested, validated } = (await eventually('its status', () => lifecycleStatus(custody, name))).progress;
  narrator.say(`release digest ${ingested?.release ?? ''}`);
  const accuracy = ((validated?.accuracy ?? 0) * 100).toFixed(1);
  narrator.say(`${validated?.passed ?? 0} cases passed, accuracy ${accuracy} % on images it has never seen`);
  if (waiting === null) narrator.say('it has been decided on before');
  else await approve(scene, waiting, 'alice', reason);
}

/** Waits until the release serves; one that ended before it did is no release of this story. */
async function inService(
  scene: Scene,
  version: string,
  meanwhile = async (): Promise<void> => undefined,
): Promise<void> {
  const name = { model: MODEL, version };
  const reached = await eventually(`${version} in service`, async () => {
    await meanwhile();
    const { stage } = await lifecycleStatus(scene.custody, name);
    if (!hasPassed(stage, 'roll out')) throw new NotYet(`${version} in service (${stage})`);
    return stage;
  });
  if (reached !== 'ended') return;
  const outcome = await outcomeOf(scene.custody, name);
  if (outcome.kind === 'retired') return;
  throw new CustodyError('INTERNAL', `${version} did not get into service: ${JSON.stringify(outcome)}`);
}

export async function first(scene: Scene, sources: Sources): Promise<void> {
  scene.narrator.step('1.0.0 is ingested, validated, approved, signed, and goes into service');
  await ask(scene, sources, '1.0.0', 'the first one, and it is good enough');
  await scene.narrator.timed('signed, loaded, serving every caller', () => inService(scene, '1.0.0'));
  scene.narrator.watch(uiAddress(scene.custody, endpointId(MODEL)));
  scene.moments.set('1.0.0 alone', isoTime(Date.now()));
}

export async function better(scene: Scene, sources: Sources): Promise<void> {
  scene.narrator.step('1.1.0, better on held-out images, goes 10 → 50 → 100 % under live traffic');
  await ask(scene, sources, '1.1.0', 'better on images it has never seen');
  let shown = '';
  const showWeights = async (): Promise<void> => {
    const { serving } = await endpointStatus(scene.custody, MODEL);
    const weights = serving.filter(({ weight }) => weight > 0).map(({ version, weight }) => `${version} ${weight} %`);
    const now = weights.join(', ');
    if (now !== shown) scene.narrator.say(now);
    shown = now;
  };
  await scene.narrator.timed('promoted', () => inService(scene, '1.1.0', showWeights));
  scene.moments.set('1.1.0 promoted', isoTime(Date.now()));
}

export async function worse(scene: Scene, sources: Sources): Promise<void> {
  const { narrator, custody, load } = scene;
  narrator.step('1.2.0 passes validation, but is slow and fails on larger batches: it is rolled back by itself');
  await ask(scene, sources, '1.2.0', 'the best accuracy so far');
  const outcome = await narrator.timed('over', () =>
    eventually('the end of 1.2.0', () => outcomeOf(custody, { model: MODEL, version: '1.2.0' })),
  );
  if (outcome.kind !== 'rolled back') throw new CustodyError('INTERNAL', `1.2.0 was not rolled back: ${outcome.kind}`);
  narrator.say(`rolled back: ${outcome.reason}`);
  const { requests, mixed } = load.report();
  narrator.say(`${requests} requests so far, ${mixed} answers mixed from two releases`);
  if (mixed > 0) throw new CustodyError('INTERNAL', `${mixed} answers were mixed from two releases`);
}
