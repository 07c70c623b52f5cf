import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import { z } from 'zod';
import type { Noticed } from '../domain/ending-predicates.js';
import { CustodyError } from '../domain/errors.js';
import { noticeEvent, type NoticeData } from '../formats/cloud-event.js';
import { checkShape, parseJson } from '../formats/json.js';
import { post, webhookAt } from './webhook.js';

/** What somebody is told, in words and as data. */
export interface Letter {
  /** The entry of the directory. */
  readonly consumer: string;
  readonly subject: string;
  readonly text: string;
  /** The same letter sent again bears the same id, so that a mailbox keeps one. */
  readonly messageId: string;
  readonly data: NoticeData;
}

export interface Sent extends Pick<Noticed, 'how' | 'messageId'> {
  /** Why it was not told by every way that there is. */
  readonly why: readonly string[];
}

/** Writes to a consumer by every way that the directory knows: one that takes it is enough. */
export interface Notifier {
  send(letter: Letter): Promise<Sent>;
}

export interface NotifierConfig {
  /** `smtps://user:password@host`, or `smtp://host:port`, which begins TLS (STARTTLS) before it says anything but on this host. */
  readonly smtp: string;
  readonly from: string;
  /** PEM file of the certificate authorities that the mail server is believed by; by default those of Node. */
  readonly authorities?: string;
  /**
   * JSON file, read at each letter: `{ "consumers": { "<id>": { "mail": "<address>", "webhook": { "url": "https://…",
   * "secretFile": "/…" } } } }`. It is not kept in WORM.
   */
  readonly directory: string;
  /** Of the environment: the source of its events. */
  readonly source: string;
}

const entrySchema = z.strictObject({
  mail: z.email().exactOptional(),
  webhook: z
    .strictObject({ url: z.string().max(2000), secretFile: z.string().startsWith('/').exactOptional() })
    .exactOptional(),
});
type Entry = z.infer<typeof entrySchema>;
const directorySchema = z.strictObject({ consumers: z.record(z.string(), entrySchema) });

export function createNotifier({ smtp, from, authorities, directory, source }: NotifierConfig): Notifier {
  const transport = createTransport({
    ...serverAt(smtp),
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
    ...(authorities === undefined ? {} : { tls: { ca: readFileSync(authorities) } }),
  });

  async function mail(to: string, { subject, text, messageId, consumer }: Letter): Promise<void> {
    try {
      await transport.sendMail({ from, to, subject, text, messageId });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CustodyError('MAIL_UNAVAILABLE', `the mail server did not take the notice to ${consumer}: ${why}`, {
        cause,
      });
    }
  }

  async function hook({ url, secretFile }: NonNullable<Entry['webhook']>, letter: Letter): Promise<void> {
    const secret = secretFile === undefined ? null : await readFile(secretFile, 'utf8');
    await post(webhookAt(url, secret), noticeEvent(letter.messageId, letter.data, source));
  }

  return {
    send: async (letter) => {
      const { consumers } = checkShape(directorySchema, parseJson(await readFile(directory), directory), directory);
      const entry = Object.hasOwn(consumers, letter.consumer) ? consumers[letter.consumer] : undefined;
      const { mail: to, webhook } = entry ?? {};
      if (to === undefined && webhook === undefined) return { how: 'none', messageId: null, why: [] };
      const [byMail, byWebhook] = await Promise.all([
        to === undefined ? 'no address' : failureOf(mail(to, letter)),
        webhook === undefined ? 'no webhook' : failureOf(hook(webhook, letter)),
      ]);
      const why = [to === undefined ? null : byMail, webhook === undefined ? null : byWebhook];
      const how = byMail === null ? 'mail' : byWebhook === null ? 'webhook' : 'failed';
      const messageId = how === 'failed' ? null : letter.messageId;
      return { how, messageId, why: why.filter((each) => each !== null) };
    },
  };
}

/** CONFIG_INVALID, without saying what may hold a password. */
function serverAt(smtp: string) {
  const url = URL.canParse(smtp) ? new URL(smtp) : null;
  if (url === null || !['smtp:', 'smtps:'].includes(url.protocol) || url.hostname === '' || url.search !== '')
    throw new CustodyError('CONFIG_INVALID', 'the mail server is no address like smtps://user:password@host:465');
  const secure = url.protocol === 'smtps:';
  const [user, pass] = [url.username, url.password].map(decodeURIComponent);
  const isHere = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    ...{ secure, requireTLS: !secure && !isHere },
    ...(user === '' ? {} : { auth: { user: user ?? '', pass: pass ?? '' } }),
  };
}

/** Why it came to nothing; `null`: it did come to pass. */
async function failureOf(sending: Promise<void>): Promise<string | null> {
  try {
    await sending;
    return null;
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}
