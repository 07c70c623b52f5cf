import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { packRelease } from '../../adapters/source/pack.js';
import { readComponents } from '../../client/components.js';
import { auditLog, readWhole } from '../../client/audit.js';
import { connect, type Custody } from '../../client/connect.js';
import { replaceFile } from '../../client/files.js';
import { readKey } from '../../client/init.js';
import { endpointStatus, lifecycleStatus, requestOf, send, type WaitingGate } from '../../client/messages.js';
import { describeOrigin, provenanceBeside, writeProvenance } from '../../client/provenance.js';
import { decide, type Signer } from '../../client/requests.js';
import { digitsStack } from '../../client/stack/digits.js';
import type { Layout } from '../../client/stack/layout.js';
import type * as StackModule from '../../client/stack/stack.js';
import { askAs, startRelease, type ReleaseSource } from '../../client/start.js';
import type { AuditRecord } from '../../domain/audit.js';
import { CustodyError, type ErrorCode } from '../../domain/errors.js';
import type { Component } from '../../domain/manifest.js';
import { endpointId, lifecycleId, type ReleaseName } from '../../domain/names.js';
import type { Policy } from '../../domain/policy.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { digitsFolder } from '../../examples/digits/assets.js';
import { startLoad } from '../../examples/digits/load.js';
import { shippedFolder } from '../../examples/digits/ship.js';
import type { SigningKey } from '../../formats/keys.js';
import { omsResources, parseManifest } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { parsePolicyYaml, signPolicy } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { compiled, load } from './support/product.js';
import { until } from './support/until.js';

/** What starts processes is taken as it was compiled, because they are started from beside it. */
const stackOf = (version?: string): Promise<typeof StackModule> => load('client/stack/stack.js', version);

export const MODEL = 'digits';
export const FIRST: ReleaseName = { model: MODEL, version: '1.0.0' };
/** Percent of the callers, of the first step of a rollout. */
export const FIRST_WEIGHT = 50;
const PATIENCE_SECONDS = 180;
/** Only so that one that hangs ends: how fast commands are is not judged here. */
const COMMAND_MS = 300_000;

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How callers are answered: the status, and which version did it. */
export interface Answered {
  readonly status: number;
  readonly version: string | null;
  readonly reason: string | null;
}

/** Rollouts whose steps last no longer than their evidence needs; that steps are watched for their time is the story's. */
function hurried(policy: Policy): Policy {
  const steps = [FIRST_WEIGHT, 100].map((weight) => ({ weight, bakeSeconds: 0.5 }));
  return { ...policy, rollout: { ...policy.rollout, steps } };
}

interface Example {
  readonly suite?: string;
  readonly documents?: readonly string[];
  readonly environment?: string;
  /** Where they are, in the folder of the bench. */
  readonly repositories?: (folder: string) => Readonly<Record<string, string>>;
  /** The folder of the version whose stack it is, if not this one. */
  readonly version?: string;
}

/** A real stack with its people, callers and releases; nothing outlives `stop`. */
export class Bench {
  readonly stack: StackModule.Stack;
  readonly custody: Custody;
  /** A folder that the zones may read. */
  readonly folder: string;
  /** Callers, all the time. */
  readonly load: ReturnType<typeof startLoad>;
  readonly #version: string | undefined;

  private constructor(stack: StackModule.Stack, custody: Custody, folder: string, version?: string) {
    this.#version = version;
    this.stack = stack;
    this.custody = custody;
    this.folder = folder;
    const url = stack.description.gateway.url;
    this.load = startLoad({ url, model: MODEL, ratePerSecond: 20, callers: 40, maxSeconds: 3600 });
  }

  /** `edit` changes the first policy before it is signed; `example` is set up for in the place of the digits. */
  static async start(
    edit: (policy: Policy, layout: Layout) => Policy = (policy) => policy,
    { repositories, environment: called = 'dev', version, ...example }: Example = {},
  ): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), 'custody-e2e-'));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'bin'));
    symlinkSync(environment('CUSTODY_TEMPORAL'), join(folder, 'bin', 'temporal'));
    const { Layout: Folders } = await load<typeof import('../../client/stack/layout.js')>(
      'client/stack/layout.js',
      version,
    );
    const layout = new Folders(join(folder, 'state'));
    const further = repositories === undefined ? {} : { repositories: repositories(folder) };
    const digits = { ...digitsStack(layout, 'smtp://127.0.0.1:9'), ...example, ...further };
    const { initialise } = await load<typeof import('../../client/init.js')>('client/init.js', version);
    initialise(layout, { environment: called, suite: digits.suite });
    const file = layout.path('policy.yaml');
    const policy = edit(hurried(parsePolicyYaml(readFileSync(file, 'utf8'), file).value), layout);
    replaceFile(layout.policy(1), JSON.stringify(signPolicy(policy, [readKey(layout.key('rosa'))])));
    const { startStack } = await stackOf(version);
    const stack = await startStack({ ...digits, environment: called, say: () => undefined });
    try {
      return new Bench(stack, await connect(layout), folder, version);
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  /** The same stack, stopped and started again on what it has kept after `meanwhile`, always as this version. */
  async again(meanwhile: (layout: StackModule.Stack['layout']) => void = () => undefined): Promise<Bench> {
    await this.end();
    const { layout } = this.stack;
    meanwhile(layout);
    const { startStack } = await stackOf();
    const stack = await startStack({ ...digitsStack(layout, 'smtp://127.0.0.1:9'), say: () => undefined });
    return new Bench(stack, await connect(layout), this.folder);
  }

  private async end(): Promise<void> {
    await this.load.stop();
    await this.custody.close();
    await this.stack.stop();
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get state(): string {
    return this.stack.layout.state;
  }

  key(id: string): SigningKey {
    return readKey(this.stack.layout.key(id));
  }

  async signer(id: string): Promise<Signer> {
    const { newestDigest } = await this.custody.records.policies();
    return { key: this.key(id), id, environment: this.custody.description.environment, policy: newestDigest };
  }

  /** A copy of a shipped release under a version of its own, changed by `change`, signed by its producer or by `key`. */
  async source(
    version: string,
    {
      change,
      key = this.key('trainer'),
      model = MODEL,
      further = [],
    }: {
      change?: (folder: string) => void;
      key?: SigningKey;
      model?: string;
      /** Components that the shipped one has not. */
      further?: readonly Pick<Component, 'name' | 'kind' | 'files'>[];
    } = {},
  ): Promise<ReleaseSource & { readonly release: string }> {
    const folder = join(this.folder, `release-${model}-${version}`);
    rmSync(folder, { recursive: true, force: true });
    cpSync(shippedFolder('1.0.0'), folder, { recursive: true });
    change?.(folder);
    const { components, serving } = readComponents(join(digitsFolder(), 'training', 'recipe.json'));
    const packed = await packRelease(folder, { model, version, components: [...components, ...further], serving });
    const bundle = `${folder}.sig.json`;
    this.sign(folder, bundle, key, model);
    const provenance = provenanceBeside(bundle);
    const data = [join(digitsFolder(), 'data', 'digits', 'digits.csv.gz')];
    writeProvenance(
      provenance,
      packed,
      await describeOrigin(packed, { data, code: [], parent: null, base: null, statement: null, prompts: null }),
      key,
    );
    return { folder, bundle, provenance, release: packed.release };
  }

  sign(folder: string, bundle: string, key: SigningKey, model = MODEL): void {
    const text = readFileSync(join(folder, 'custody.json'));
    replaceFile(bundle, signOms(model, omsResources(parseManifest(text), text), key));
  }

  async start(source: ReleaseSource, who = 'ci'): Promise<Awaited<ReturnType<typeof startRelease>>> {
    return startRelease(this.custody, askAs(await this.signer(who)), source);
  }

  /** The request that a release waits with. */
  openGate(version: string, model = MODEL): Promise<WaitingGate> {
    const name = { model, version };
    return until(`a request of ${model} ${version}`, PATIENCE_SECONDS, async () => {
      const { gate, missing } = await lifecycleStatus(this.custody, name);
      return gate === null ? null : { workflowId: lifecycleId(name), gate, missing };
    });
  }

  /** What `custody approvals` says once it names this: Temporal's lists learn of what waits after its workflow does. */
  approvals(named: string): Promise<string> {
    return until(`${named} among the approvals`, PATIENCE_SECONDS, async () => {
      const { stdout } = await this.cli('approvals');
      return stdout.includes(named) ? stdout : null;
    });
  }

  restoreGate(model = MODEL): Promise<WaitingGate> {
    return until('a request to restore', PATIENCE_SECONDS, async () => {
      const { gate, missing } = await endpointStatus(this.custody, model);
      return gate === null ? null : { workflowId: endpointId(model), gate, missing };
    });
  }

  async decision(who: string, waiting: WaitingGate, decision: 'approve' | 'reject' = 'approve') {
    return decide(await this.signer(who), await requestOf(this.custody, waiting), decision, `${who} has looked`);
  }

  /** The verdict on a message: `accepted`, or the code it was refused with. */
  async tell(workflowId: string, name: string, envelope: SignedEnvelope): Promise<'accepted' | ErrorCode> {
    try {
      await send(this.custody, workflowId, name, envelope);
      return 'accepted';
    } catch (error) {
      if (error instanceof CustodyError) return error.code;
      throw error;
    }
  }

  /** What these people say, one after the other, counts. */
  async say(decision: 'approve' | 'reject', waiting: WaitingGate, who: readonly string[]): Promise<void> {
    for (const each of who) {
      const verdict = await this.tell(waiting.workflowId, decision, await this.decision(each, waiting, decision));
      if (verdict !== 'accepted')
        throw new Error(`${each} could not ${decision} ${waiting.gate.requestId}: ${verdict}`);
    }
  }

  async approve(version: string, who: readonly string[], model = MODEL): Promise<void> {
    await this.say('approve', await this.openGate(version, model), who);
  }

  /** A command that does what it says. */
  async done(...args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.cli(...args);
    if (code !== 0) throw new Error(`custody ${args.join(' ')} ended with ${code}: ${stderr}`);
  }

  signal(workflowId: string, name: string, ...args: unknown[]): Promise<void> {
    return this.custody.temporal.workflow.getHandle(workflowId).signal(name, ...args);
  }

  reached(version: string, stage: string, model = MODEL): Promise<unknown> {
    return until(`${model} ${version}: ${stage}`, PATIENCE_SECONDS, async () =>
      (await lifecycleStatus(this.custody, { model, version })).stage === stage ? true : null,
    );
  }

  /** The release `1.0.0` into service, by its people. */
  async putFirstInService(): Promise<void> {
    await this.start(await this.source(FIRST.version));
    await this.approve(FIRST.version, ['alice']);
    await this.reached(FIRST.version, 'in service');
  }

  /** Asks for what stops the endpoint to be lifted; two operators agree. */
  async restore(): Promise<void> {
    await this.done('restore', MODEL, '--key', 'otto');
    const waiting = await this.restoreGate();
    for (const who of ['oscar', 'olga'])
      await this.tell(waiting.workflowId, 'approve', await this.decision(who, waiting));
    await this.answers({ status: 200 });
  }

  /** Asks with an image all of whose pixels are `pixel`. */
  async call(gateway: string = this.stack.description.gateway.url, pixel = 0): Promise<Answered> {
    const data = Array.from({ length: 64 }, () => pixel);
    const answer = await fetch(new URL(`/v2/models/${MODEL}/infer`, gateway), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs: [{ name: 'image', shape: [1, 64], datatype: 'FP32', data }] }),
    });
    const body = (await answer.json()) as { reason?: string };
    const version = answer.headers.get('x-custody-release-version');
    return { status: answer.status, version, reason: body.reason ?? null };
  }

  /** Waits until callers are answered like this. */
  answers(expected: Partial<Answered>, gateway?: string): Promise<Answered> {
    return until(`callers get ${JSON.stringify(expected)}`, PATIENCE_SECONDS, async () => {
      const answered = await this.call(gateway);
      const differs = Object.entries(expected).some(([name, value]) => answered[name as keyof Answered] !== value);
      if (differs) throw new Error(JSON.stringify(answered));
      return answered;
    });
  }

  /** Every record of the log, once verified. */
  async log(): Promise<readonly AuditRecord[]> {
    return (await readWhole(await auditLog(this.custody, await this.signer('ada')))).records;
  }

  /** The refusal of this very message, once it is in the log. */
  refusalOf(envelope: unknown): Promise<AuditRecord> {
    const digest = sha256(JSON.stringify(envelope));
    return until('the refusal in the audit log', PATIENCE_SECONDS, async () => {
      const records = await this.log();
      return records.find(({ change, after }) => change === 'message.refused' && after === digest) ?? null;
    });
  }

  /** Sends a signal of the operating system to a process of the stack. */
  signalProcess(name: string, signal: NodeJS.Signals): void {
    const pid = this.stack.supervisor.pids()[name];
    if (pid === undefined) throw new Error(`there is no process ${name}`);
    process.kill(pid, signal);
  }

  /** The gateway comes up again on an empty state folder, while control is held and so cannot deliver anything. */
  async emptyGateway(): Promise<void> {
    this.signalProcess('control', 'SIGSTOP');
    this.signalProcess('gateway', 'SIGSTOP');
    const state = join(this.state, 'zones', 'gateway', 'state');
    for (const name of readdirSync(state)) rmSync(join(state, name), { recursive: true });
    const restarted = once(this.stack.supervisor, 'restarted');
    this.signalProcess('gateway', 'SIGKILL');
    await restarted;
    const gateway = createGatewayClient(this.custody.description.gateway.admin);
    await until('the gateway', PATIENCE_SECONDS, () => gateway.state());
  }

  async keys(prefix: string): Promise<readonly string[]> {
    const found: string[] = [];
    for await (const key of this.custody.records.bucket.list(prefix)) found.push(key);
    return found;
  }

  /** The `custody` command against this stack. */
  cli(...args: readonly string[]): Promise<Ended> {
    return this.cliWith({}, ...args);
  }

  cliWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> {
    return run(
      process.execPath,
      [compiled('bundled/programs/custody.js', this.#version), '--state', this.state, ...args],
      env,
    );
  }

  /** A line as a person pastes it into a shell that has the Temporal CLI on its PATH. */
  shell(line: string): Promise<Ended> {
    return run('/bin/sh', ['-c', line], {
      PATH: `${join(this.folder, 'bin')}:${process.env['PATH'] ?? ''}`,
      HOME: this.folder,
    });
  }
}

export function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined || !existsSync(value)) throw new Error(`${name} names nothing: run the tests with npm test`);
  return value;
}

export function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  timeout: number = COMMAND_MS,
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { timeout, env: { ...process.env, NO_COLOR: '1', ...env }, maxBuffer: 64 * 2 ** 20 };
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 128;
      resolve({ code, stdout, stderr });
    });
    child.stdin?.end();
  });
}
