import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packRelease } from '../../adapters/source/pack.js';
import { lifecycleStatus } from '../../client/messages.js';
import { describeOrigin, provenanceBeside, writeProvenance } from '../../client/provenance.js';
import { replaceFile } from '../../client/files.js';
import { askAs, startRelease } from '../../client/start.js';
import { lifecycleId } from '../../domain/names.js';
import type { Policy, SuiteRule } from '../../domain/policy.js';
import { lingoFolder, shipLingo } from '../../examples/lingo/train.js';
import { omsResources, parseManifest } from '../../formats/manifest.js';
import { signOms } from '../../formats/oms.js';
import { Bench } from './harness.js';
import { until } from './support/until.js';

const NAME = { model: 'lingo', version: '1.0.0' };
const DATA = ['training.json'].map((name) => join(lingoFolder(), 'data', name));
/** What the release answers without an end, so that something is under way when it is stopped. */
const FOR_EVER = 'Please go on and on.';

let bench: Bench;
let callers: Callers;

beforeAll(async () => {
  const suite = join(lingoFolder(), 'suite.yaml');
  const edit = (policy: Policy): Policy => ({
    ...policy,
    validation: { ...policy.validation, suites: policy.validation.suites.map(fewer) },
  });
  // The suite of the example is one of labelled sentences.
  const fewer = (rule: SuiteRule): SuiteRule => (rule.suite === 'lingo' ? { ...rule, minimumCases: 5 } : rule);
  bench = await Bench.start(edit, { suite, documents: [join(lingoFolder(), 'data', 'held-out.json')] });
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

/** The chat model as it is shipped, but that one question has no end, signed by its producer. */
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
  const packed = await packRelease(folder, manifest);
  const bundle = `${folder}.sig.json`;
  const text = readFileSync(join(folder, 'custody.json'));
  const key = bench.key('trainer');
  replaceFile(bundle, signOms(NAME.model, omsResources(parseManifest(text), text), key));
  const provenance = provenanceBeside(bundle);
  const origin = await describeOrigin(packed, { data: DATA, code: [], parent: null, base: null, statement: null });
  writeProvenance(provenance, packed, origin, key);
  return { folder, bundle, provenance };
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
