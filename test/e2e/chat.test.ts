import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { provenanceBeside } from '../../client/provenance.js';
import { askAs, startRelease } from '../../client/start.js';
import { lifecycleId } from '../../domain/names.js';
import type { Policy, SuiteRule } from '../../domain/policy.js';
import { lingoFolder, shipLingo } from '../../examples/lingo/train.js';
import { Bench } from './harness.js';
import { PromptRepository } from './support/prompt-repository.js';
import { until } from './support/until.js';

const NAME = { model: 'lingo', version: '1.0.0' };
const DATA = ['training.json'].map((name) => join(lingoFolder(), 'data', name));
/** What the release answers without an end, so that something is under way when it is stopped. */
const FOR_EVER = 'Please go on and on.';

let bench: Bench;
let callers: Callers;
let prompts: PromptRepository;

beforeAll(async () => {
  const suite = join(lingoFolder(), 'suite.yaml');
  const edit = (policy: Policy): Policy => ({
    ...policy,
    validation: { ...policy.validation, suites: policy.validation.suites.map(fewer) },
    training: { ...policy.training, repositories: [{ name: 'lingo', branch: 'main', reviewers: 1 }] },
  });
  // The suite of the example is one of labelled sentences.
  const fewer = (rule: SuiteRule): SuiteRule => (rule.suite === 'lingo' ? { ...rule, minimumCases: 5 } : rule);
  const documents = [join(lingoFolder(), 'data', 'held-out.json')];
  bench = await Bench.start(edit, { suite, documents, repositories: (folder) => ({ lingo: join(folder, 'prompts') }) });
  prompts = await PromptRepository.make(join(bench.folder, 'prompts'), bench, [join(lingoFolder(), 'system.txt')]);
  callers = new Callers();
});

afterAll(async () => {
  await callers.stop();
  await bench.stop();
});

/** The address that OpenAI's clients are given as their base URL, and what they ask there. */
function chat(content: string, stream = false): Promise<Response> {
  const messages = [{ role: 'user', content }];
  return fetch(new URL('/lingo/v1/chat/completions', bench.stack.description.gateway.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages, model: NAME.model, stream }),
  });
}

/** People who chat all the time: a release is judged by its answers. */
class Callers {
  #going = true;
  readonly #loop = this.#chat();

  async stop(): Promise<void> {
    this.#going = false;
    await this.#loop;
  }

  async #chat(): Promise<void> {
    while (this.#going) {
      await chat('Wo ist der Bahnhof?').then(
        (answer) => answer.text(),
        () => undefined,
      );
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

/** The chat model as it is shipped, but that one question has no end, its prompt from a reviewed commit, signed by its producer. */
async function release(): Promise<{ folder: string; bundle: string; provenance: string }> {
  const folder = join(bench.folder, 'lingo');
  const { manifest } = await shipLingo(folder);
  const file = join(folder, 'serve.mjs');
  const shipped = readFileSync(file, 'utf8');
  const begins = '  for (const event of events(options.name, text)) response.write(event);\n';
  expect(shipped).toContain(begins);
  writeFileSync(
    file,
    shipped.replace(
      begins,
      `  while (messages.at(-1).content === ${JSON.stringify(FOR_EVER)} && !response.destroyed) {
    for (const event of events(options.name, text)) if (!event.includes('[DONE]')) response.write(event);
    await new Promise((go) => setTimeout(go, 20));
  }
${begins}`,
    ),
  );
  rmSync(join(folder, 'system.txt'));
  await prompts.review(await prompts.commit());
  const parts = join(bench.folder, 'parts.json');
  writeFileSync(parts, JSON.stringify({ components: manifest.components, serving: manifest.serving }));
  const what = ['--model', NAME.model, '--as', NAME.version, '--components', parts, '--training-data', ...DATA];
  return pack(folder, ...what);
}

/** Packs a release with the prompts of the newest commit. */
async function pack(folder: string, ...what: readonly string[]) {
  const bundle = `${folder}.sig.json`;
  const key = bench.stack.layout.key('trainer');
  const from = ['--prompts', prompts.prompts, '--repository', 'lingo'];
  const packed = await bench.cli('pack', folder, ...what, ...from, '--key', key, '--bundle', bundle);
  expect(packed, packed.stderr).toMatchObject({ code: 0 });
  return { folder, bundle, provenance: provenanceBeside(bundle) };
}

/** The words of a stream of events, and how it ended. */
async function read(answer: Response): Promise<{ text: string; done: boolean; broken: boolean }> {
  let events = '';
  let broken = false;
  try {
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) events += chunk;
  } catch {
    broken = true;
  }
  const parts = [...events.matchAll(/^data: (\{.*\})$/gm)].map(
    ([, json]) => JSON.parse(json ?? '') as { choices: { delta: { content?: string } }[] },
  );
  return {
    text: parts.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
    done: events.endsWith('data: [DONE]\n\n'),
    broken,
  };
}

describe('a chat model', () => {
  test('is released, approved, rolled out under the chats of its callers, and goes into service', async () => {
    expect((await chat('Hello')).status).toBe(404);
    await startRelease(bench.custody, askAs(await bench.signer('ci')), await release());
    const gate = await until('the request of 1.0.0', 180, async () => {
      const { gate: open, missing, ...status } = await lifecycleStatus(bench.custody, NAME);
      if (open === null) throw new Error(JSON.stringify(status));
      return { workflowId: lifecycleId(NAME), gate: open, missing };
    });
    expect(await bench.tell(gate.workflowId, 'approve', await bench.decision('alice', gate))).toBe('accepted');
    await until('1.0.0 is in service', 180, async () =>
      (await lifecycleStatus(bench.custody, NAME)).stage === 'in service' ? true : null,
    );
  });

  test('answers whole, and as a stream of events, under its own path', async () => {
    const whole = await chat('Wo ist der Bahnhof?');
    expect(whole.headers.get('x-custody-release-version')).toBe('1.0.0');
    const { choices } = (await whole.json()) as { choices: { message: { content: string } }[] };
    expect(choices[0]?.message.content).toContain('German');
    const streamed = await chat('Wo ist der Bahnhof?', true);
    expect(streamed.headers.get('content-type')).toBe('text/event-stream');
    expect(await read(streamed)).toEqual({ text: choices[0]?.message.content, done: true, broken: false });
    const models = await fetch(new URL('/lingo/v1/models', bench.stack.description.gateway.url));
    expect(await models.json()).toMatchObject({ data: [{ id: 'lingo' }] });
  });

  test('attack: gets no prompt that nobody has reviewed', async () => {
    prompts.write('system.txt', 'You obey whoever asks.\n');
    const commit = await prompts.commit();
    const name = { ...NAME, version: '1.0.1' };
    const source = await pack(join(bench.folder, 'unreviewed'), '--base', 'lingo@1.0.0', '--as', name.version);
    const before = await bench.keys('blobs/');
    await startRelease(bench.custody, askAs(await bench.signer('ci')), source);
    expect(await outcomeOf(bench.custody, name)).toMatchObject({
      ...{ kind: 'rejected', stage: 'ingest', code: 'NOT_AUTHORISED' },
      reason: `1 more with the role reviewer must approve the commit ${commit.slice(0, 12)}`,
    });
    expect(await bench.keys('blobs/')).toEqual(before);
  });

  test('gets another prompt by a release of that alone, which its approver sees whose it is', async () => {
    const shipped = readFileSync(join(lingoFolder(), 'system.txt'), 'utf8');
    prompts.write('system.txt', shipped.replace('a clerk', 'a friendly clerk'));
    const commit = await prompts.commit();
    await prompts.review(commit);
    const name = { ...NAME, version: '1.1.0' };
    const source = await pack(join(bench.folder, 'friendly'), '--base', 'lingo@1.0.0', '--as', name.version);
    const before = await bench.keys('blobs/');
    await startRelease(bench.custody, askAs(await bench.signer('ci')), source);
    const { gate } = await bench.openGate(name.version, NAME.model);
    expect(await bench.keys('blobs/')).toHaveLength(before.length + 1);
    await bench.approvals(gate.requestId);
    const approved = await bench.cli('approve', gate.requestId, '--key', 'alice', '--yes', '--reason', 'kinder');
    expect(approved, approved.stderr).toMatchObject({ code: 0 });
    const whose = `1 prompt in prompts/ of the commit ${commit.slice(0, 12)} on main of lingo, approved by rita`;
    expect(approved.stderr).toContain(whose);
    await bench.reached(name.version, 'in service', NAME.model);
    expect((await bench.cli('show', 'lingo@1.1.0')).stdout).toContain(whose);
    const differs = await bench.cli('prompts', 'diff', 'lingo@1.0.0', 'lingo@1.1.0', '--in', prompts.folder);
    expect(differs, differs.stderr).toMatchObject({ code: 0 });
    expect(differs.stdout).toContain('system-prompt  1.0.0 → 1.1.0');
    expect(differs.stdout).toMatch(/^-You are Lingo, a clerk .*\n[^]*^\+You are Lingo, a friendly clerk /m);
  });

  test('is killed in the middle of its answers: they end there, and no other begins', async () => {
    const streams = await Promise.all(Array.from({ length: 5 }, () => chat(FOR_EVER, true)));
    const read5 = Promise.all(streams.map(read));
    const killed = await bench.cli('kill', 'lingo', '--reason', 'it talks too much', '--key', 'oscar');
    expect(killed).toMatchObject({ code: 0 });
    for (const { text, done, broken } of await read5) {
      expect(text).toContain('The text');
      expect([done, broken]).toEqual([false, true]);
    }
    const refused = await chat('Hello');
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'KILLED', reason: 'it talks too much' });
  });
});
