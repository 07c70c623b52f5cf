import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReleaseSource } from '../../client/start.js';
import type { Policy } from '../../domain/policy.js';
import { lifecycleId } from '../../domain/names.js';
import { storeKeys } from '../../domain/store-keys.js';
import type { Admission } from '../../domain/lifecycle.js';
import { AUDIENCE, Issuer, SUBJECT } from '../support/issuer.js';
import { Bench, MODEL, run, type Ended } from './harness.js';

let issuer: Issuer;
let bench: Bench;
let github: Server;
/** Every token that was given out. */
const tokens: string[] = [];

const JOB_MS = 300_000;
const REQUEST_TOKEN = 'what the runner gives to a job';

beforeAll(async () => {
  issuer = await Issuer.start();
  const oidc = { issuer: issuer.url, audience: AUDIENCE, claims: { sub: SUBJECT } };
  const pipeline = { id: 'pipeline', kind: 'workload', roles: ['requester'], keys: [], oidc } as const;
  bench = await Bench.start((policy: Policy) => ({ ...policy, authorities: [...policy.authorities, pipeline] }));
  // GitHub's contract: GET with the audience in the query and the runner's bearer token, answered by { value }.
  github = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '', 'http://github');
    const isGood =
      incoming.headers.authorization?.toLowerCase() === `bearer ${REQUEST_TOKEN}` &&
      url.searchParams.get('audience') === AUDIENCE &&
      url.searchParams.get('api-version') === '2.0';
    if (!isGood) return void outgoing.writeHead(401).end();
    void token().then((value) => outgoing.end(JSON.stringify({ count: value.length, value })));
  }).listen(0, '127.0.0.1');
  await once(github, 'listening');
});

afterAll(async () => {
  github.close();
  await bench.stop();
  await issuer.stop();
});

async function token(): Promise<string> {
  const given = await issuer.token();
  tokens.push(given);
  return given;
}

interface Action {
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: {
    readonly steps: readonly {
      readonly id?: string;
      readonly if?: string;
      readonly shell: string;
      readonly env: Readonly<Record<string, string>>;
      readonly run: string;
    }[];
  };
}

interface Ran {
  readonly ok: boolean;
  readonly log: string;
  readonly summary: string;
  readonly outputs: Readonly<Record<string, string>>;
}

/** Runs the steps of action.yml as a runner does: expressions filled in, each step by bash, outputs by file. */
async function runAction(
  inputs: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const action = parse(readFileSync('action.yml', 'utf8')) as Action & {
    readonly inputs: Readonly<Record<string, { readonly default?: string }>>;
  };
  const temporary = mkdtempSync(join(bench.folder, 'runner-'));
  const given = (name: string): string => inputs[name] ?? action.inputs[name]?.default ?? '';
  const outputs: Record<string, Record<string, string>> = {};
  const one = (path: string): string => {
    const [kind, name = '', , output = ''] = path.trim().split('.');
    return kind === 'inputs' ? given(name) : (outputs[name]?.[output] ?? '');
  };
  const fill = (text: string): string =>
    text.replace(
      /\$\{\{(.+?)\}\}/g,
      (_, paths: string) =>
        paths
          .split('||')
          .map(one)
          .find((value) => value !== '') ?? '',
    );
  let ok = true;
  let log = '';
  const summary = join(temporary, 'summary.md');
  writeFileSync(summary, '');
  for (const [at, step] of action.runs.steps.entries()) {
    expect(step.shell).toBe('bash');
    expect(step.run, 'inputs reach a script by its environment alone').not.toContain('${{');
    const equal = /^inputs\.(\S+) == '(.+)'$/.exec(step.if ?? '');
    const wanted =
      equal === null ? step.if === undefined || step.if === 'always()' : given(equal[1] ?? '') === equal[2];
    if (!wanted || (!ok && step.if !== 'always()')) continue;
    const [script, output] = [join(temporary, `${at}.sh`), join(temporary, `${at}.out`)];
    writeFileSync(script, step.run);
    writeFileSync(output, '');
    const ended = await run(
      'bash',
      ['--noprofile', '--norc', '-eo', 'pipefail', script],
      {
        PATH: `${join(bench.folder, 'bin')}:${process.env['PATH'] ?? ''}`,
        HOME: bench.folder,
        RUNNER_TEMP: temporary,
        GITHUB_OUTPUT: output,
        GITHUB_STEP_SUMMARY: summary,
        ...Object.fromEntries(Object.entries(step.env).map(([name, value]) => [name, fill(value)])),
        ...env,
      },
      JOB_MS,
    );
    log += ended.stdout + ended.stderr;
    ok &&= ended.code === 0;
    const lines = readFileSync(output, 'utf8').trim().split('\n');
    outputs[step.id ?? String(at)] = Object.fromEntries(lines.map((line) => line.split('=', 2) as [string, string]));
  }
  const answers = Object.entries(action.outputs).map(([name, { value }]) => [name, fill(value)] as const);
  return { ok, log, summary: readFileSync(summary, 'utf8'), outputs: Object.fromEntries(answers) };
}

const job = (): Record<string, string> => ({
  ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(github.address() as AddressInfo).port}/token?api-version=2.0`,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: REQUEST_TOKEN,
});

function inputsFor(version: string, source: ReleaseSource): Record<string, string> {
  const { api, temporal } = bench.custody.description;
  return {
    api: api.url,
    model: MODEL,
    version,
    source: pathToFileURL(source.folder).href,
    bundle: pathToFileURL(source.bundle).href,
    provenance: pathToFileURL(source.provenance).href,
    'temporal-address': temporal.address,
    'temporal-namespace': temporal.namespace,
  };
}

/** Who asked, by the records, and who signed that. */
async function askedBy(version: string): Promise<{ requester: string; signers: readonly string[] }> {
  const { records } = bench.custody;
  const admission = (await records.record(storeKeys.record({ model: MODEL, version }, 'admission'))) as Admission;
  const { verified } = await records.get('request', admission.request);
  return { requester: verified.predicate.requester, signers: verified.signers };
}

async function approve(version: string): Promise<void> {
  const waiting = await bench.openGate(version);
  const verdict = await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting));
  expect(verdict).toBe('accepted');
}

describe('a release from CI', () => {
  test('by the action goes into service, as the workload of the token, once people have approved', async () => {
    const version = '1.0.0';
    const inputs = { ...inputsFor(version, await bench.source(version)), wait: 'true', 'timeout-minutes': '5' };
    const [ran] = await Promise.all([runAction(inputs, job()), approve(version)]);
    expect(ran.ok, ran.log).toBe(true);
    expect(ran.outputs).toEqual({ 'workflow-id': lifecycleId({ model: MODEL, version }), outcome: 'in service' });
    expect(ran.summary).toContain('| outcome | in service |');
    expect(ran.log.replaceAll(/^::add-mask::.*$/gm, '')).not.toContain(tokens.at(-1));
    expect(await askedBy(version)).toEqual({ requester: 'pipeline', signers: ['api'] });
  });

  test('by the action that is run again finds what it has started', async () => {
    const { temporal } = bench.custody;
    const running = temporal.workflow.getHandle(lifecycleId({ model: MODEL, version: '1.0.0' }));
    const { runId } = await running.describe();
    const again = await runAction(inputsFor('1.0.0', await bench.source('1.0.0')), job());
    expect(again.ok, again.log).toBe(true);
    expect(again.outputs['outcome']).toBe('started');
    expect((await running.describe()).runId).toBe(runId);
  });

  test('by the lines of docs/ci.md, pasted into a shell', async () => {
    const version = '1.1.0';
    const { folder, bundle, provenance } = await bench.source(version);
    expect([bundle, provenance]).toEqual([`${folder}.sig.json`, `${folder}.provenance.json`]);
    const [, plain = ''] = readFileSync('docs/ci.md', 'utf8').split('## Anywhere else');
    const blocks = [...plain.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
    expect(blocks).toHaveLength(4);
    const custody = (blocks.pop() ?? '').replace('custody release', 'true');
    const { api, temporal } = bench.custody.description;
    const place = mkdtempSync(join(bench.folder, 'shell-'));
    const ended = await run('bash', ['-ec', [`cd ${place}`, ...blocks, custody].join('\n')], {
      PATH: `${join(bench.folder, 'bin')}:${process.env['PATH'] ?? ''}`,
      HOME: bench.folder,
      ID_TOKEN: await token(),
      MODEL,
      VERSION: version,
      RELEASE: folder,
      CUSTODY_API: api.url,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: temporal.namespace,
    });
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    await approve(version);
    expect(await askedBy(version)).toEqual({ requester: 'pipeline', signers: ['api'] });
  });

  const release = async (version: string, given: string | undefined): Promise<Ended> => {
    const { folder, bundle } = await bench.source(version);
    const args = [
      'release',
      folder,
      '--bundle',
      bundle,
      '--api',
      bench.custody.description.api.url,
      '--token-env',
      'ID_TOKEN',
    ];
    return bench.cliWith(given === undefined ? {} : { ID_TOKEN: given }, ...args);
  };

  test('by the command, with a token in a variable', async () => {
    const ended = await release('1.2.0', await token());
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    await bench.openGate('1.2.0');
    expect(await askedBy('1.2.0')).toEqual({ requester: 'pipeline', signers: ['api'] });
  });

  test('that people reject fails the job, also when it is run again', async () => {
    const version = '1.2.0';
    const waiting = await bench.openGate(version);
    expect(await bench.tell(waiting.workflowId, 'reject', await bench.decision('bob', waiting, 'reject'))).toBe(
      'accepted',
    );
    await bench.reached(version, 'ended');
    const { runId } = await bench.custody.temporal.workflow.getHandle(waiting.workflowId).describe();
    const ran = await runAction({ ...inputsFor(version, await bench.source(version)), wait: 'true' }, job());
    expect(ran.ok).toBe(false);
    const handle = bench.custody.temporal.workflow.getHandle(waiting.workflowId);
    expect((await handle.describe()).runId).toBe(runId);
    expect(ran.outputs['outcome']).toBe('rejected');
    expect(ran.summary).toContain('| outcome | rejected |');
  });

  test('attack: with a forged token, or none, nothing is started', async () => {
    const forged = await issuer.sign({}, { kid: 'another' });
    tokens.push(forged);
    const stranger = await issuer.sign({ sub: 'acme-digits-pull-request' });
    tokens.push(stranger);
    expect(await release('1.3.0', forged)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('SIGNATURE_INVALID'),
    });
    expect(await release('1.3.0', stranger)).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('NOT_AUTHORISED'),
    });
    expect(await release('1.3.0', undefined)).toMatchObject({ code: 2 });
    const { ok, summary } = await runAction(inputsFor('1.3.0', await bench.source('1.3.0')), {});
    expect(ok).toBe(false);
    expect(summary).toContain('| outcome | refused |');
    await expect(
      bench.custody.temporal.workflow.getHandle(lifecycleId({ model: MODEL, version: '1.3.0' })).describe(),
    ).rejects.toThrow();
  });

  test('attack: what the inputs say is never run, nor becomes part of the summary', async () => {
    const evil = '1.0.0$(touch pwned)`touch pwned`"; touch pwned #<img src=x> | [a](b)';
    const ran = await runAction({ ...inputsFor('1.3.0', await bench.source('1.3.0')), version: evil }, job());
    expect(ran.ok).toBe(false);
    expect(ran.summary).not.toMatch(/[<`[(]/);
    expect(readdirSync('.')).not.toContain('pwned');
  });

  test('leaves no token in history, in a log, in the store or in the state of any process', async () => {
    const { temporal, records } = bench.custody;
    let everything = '';
    for (const version of ['1.0.0', '1.1.0', '1.2.0'])
      everything += JSON.stringify(
        await temporal.workflow.getHandle(lifecycleId({ model: MODEL, version })).fetchHistory(),
      );
    const logs = join(bench.state, 'logs');
    for (const name of readdirSync(logs)) everything += readFileSync(join(logs, name), 'utf8');
    for (const key of await bench.keys('requests/'))
      everything += (await records.bucket.read(key))?.body.toString('utf8') ?? '';
    everything += await (await fetch(new URL('/metrics', bench.custody.description.api.url))).text();
    expect(everything.length).toBeGreaterThan(10_000);
    expect(tokens.length).toBeGreaterThan(4);
    for (const given of tokens)
      for (const part of given.split('.').slice(1)) {
        expect(everything).not.toContain(part);
        expect(everything).not.toContain(Buffer.from(part).toString('base64').slice(0, 40));
      }
  });
});
