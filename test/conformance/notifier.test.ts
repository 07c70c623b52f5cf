import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createNotifier, type Letter, type NotifierConfig } from '../../adapters/notifier.js';
import { Mailbox } from '../../examples/digits/story/mailbox.js';
import type { NoticeData } from '../../formats/cloud-event.js';
import type { TlsFiles } from '../../formats/tls.js';
import { Authority } from '../support/certificates.js';
import { Receiver, strictEvent, type Answers } from '../support/receiver.js';

const SOURCE = 'urn:custody:environment:test';
const KEY = Buffer.alloc(32, 7);
const DATA: NoticeData = {
  ...{ occasion: 'notice', consumer: 'checkout', model: 'digits', version: '1.0.0', release: 'a'.repeat(64) },
  ...{ retiresAt: '2026-12-01T00:00:00.000Z', reason: 'replaced', request: 'b'.repeat(64) },
};
const LETTER: Letter = {
  ...{ consumer: 'team', subject: 'digits 1.0.0 is going to be retired', text: 'It ends.', messageId: '<1@custody>' },
  data: DATA,
};

let folder: string;
let tls: TlsFiles;
let mailbox: Mailbox;
let smtp: string;
const receivers: Receiver[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'custody-notifier-'));
  writeFileSync(join(folder, 'secret'), `whsec_${KEY.toString('base64')}\n`, { mode: 0o600 });
  tls = await (await Authority.create(join(folder, 'tls'))).host('mail', ['127.0.0.1']);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  mailbox = new Mailbox();
  smtp = await mailbox.open();
});
afterEach(async () => {
  await mailbox.close();
  for (const receiver of receivers.splice(0)) receiver.close();
});

async function hooked(answers?: Answers): Promise<Receiver> {
  const receiver = await Receiver.start(answers);
  receivers.push(receiver);
  return receiver;
}

function send(entry: object, config: Partial<NotifierConfig> = {}) {
  const directory = join(folder, 'directory.json');
  writeFileSync(directory, JSON.stringify({ consumers: { team: entry } }));
  return createNotifier({ smtp, from: 'custody@localhost', directory, source: SOURCE, ...config }).send(LETTER);
}

describe('a notice', () => {
  it('is a letter in the mailbox, and sent again is the same letter', async () => {
    for (let time = 0; time < 2; time += 1)
      expect(await send({ mail: 'team@shop.example' })).toEqual({ how: 'mail', messageId: '<1@custody>', why: [] });
    expect(mailbox.letters).toMatchObject([{ to: 'team@shop.example', messageId: '<1@custody>' }]);
  });

  it('goes to a mail server that speaks TLS alone, whose certificate is checked', async () => {
    const secure = new Mailbox({ key: readFileSync(tls.key), cert: readFileSync(tls.certificate) });
    const at = { smtp: await secure.open() };
    try {
      const authorities = tls.authorities ?? '';
      expect(await send({ mail: 'team@shop.example' }, { ...at, authorities })).toMatchObject({ how: 'mail', why: [] });
      expect(secure.letters).toHaveLength(1);
      // Attack: a server that nobody vouches for.
      expect(await send({ mail: 'team@shop.example' }, at)).toMatchObject({
        ...{ how: 'failed', messageId: null, why: [expect.stringMatching(/certificate/)] },
      });
      expect(secure.letters).toHaveLength(1);
    } finally {
      await secure.close();
    }
  });

  it.each(['', 'mail.example', 'https://mail.example', 'smtp://mail.example?tls.rejectUnauthorized=false'])(
    'attack: a mail server at %j is none',
    (address) => {
      const config = { smtp: address, from: 'custody@localhost', directory: folder, source: SOURCE };
      expect(() => createNotifier(config)).toThrow(/is no address like/);
    },
  );

  it('is a CloudEvent for a webhook, signed where there is a secret', async () => {
    const receiver = await hooked();
    const webhook = { url: receiver.url, secretFile: join(folder, 'secret') };
    expect(await send({ webhook })).toEqual({ how: 'webhook', messageId: '<1@custody>', why: [] });
    const [received] = receiver.received;
    expect(strictEvent<NoticeData>(received!)).toMatchObject({
      ...{ id: '<1@custody>', source: SOURCE, type: 'custody.retirement.notice', subject: 'digits@1.0.0', data: DATA },
    });
    const { headers, body } = received!;
    const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
    const signature = createHmac('sha256', KEY).update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${signature}`);
  });

  it('has reached somebody whom one of two ways has reached, and says what is wrong with the other', async () => {
    const down = await hooked((response) => response.writeHead(500).end());
    expect(await send({ mail: 'team@shop.example', webhook: { url: down.url } })).toMatchObject({
      ...{ how: 'mail', why: [expect.stringMatching(/^WEBHOOK_UNAVAILABLE: .* answers 500/)] },
    });
    const up = await hooked();
    await mailbox.close();
    expect(await send({ mail: 'team@shop.example', webhook: { url: up.url } })).toMatchObject({
      ...{ how: 'webhook', why: [expect.stringMatching(/^MAIL_UNAVAILABLE/)] },
    });
  });

  it('reaches nobody of whom the directory knows no way, which is no failure', async () => {
    expect(await send({})).toEqual({ how: 'none', messageId: null, why: [] });
  });

  it.each<[string, Answers, RegExp]>([
    ['hangs', () => undefined, /WEBHOOK_UNAVAILABLE: .*does not answer within/],
    ['redirects to itself', (answer) => answer.writeHead(302, { location: '/events' }).end(), /WEBHOOK_REFUSED/],
    ['refuses', (answer) => answer.writeHead(403).end('no'), /WEBHOOK_REFUSED: .* answers 403/],
  ])('attack: a webhook that %s has not been reached, once', async (_, answers, why) => {
    const receiver = await hooked(answers);
    expect(await send({ webhook: { url: receiver.url } })).toEqual({
      ...{ how: 'failed', messageId: null, why: [expect.stringMatching(why)] },
    });
    expect(receiver.received).toHaveLength(1);
  });

  it('attack: an answer of 200 with nonsense after it is an answer, and read no further', async () => {
    const receiver = await hooked((response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<html>'.repeat(100_000));
    });
    expect(await send({ webhook: { url: receiver.url } })).toMatchObject({ how: 'webhook' });
  });

  it('attack: an address that is not https, or elsewhere than on this host, is not written to', async () => {
    expect(await send({ webhook: { url: 'http://shop.example/events' } })).toMatchObject({ how: 'failed' });
  });
});
