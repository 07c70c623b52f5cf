import { readFile } from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { checkShape, parseJson } from '../formats/json.js';

export interface Letter {
  readonly consumer: string;
  readonly subject: string;
  readonly text: string;
  /** The same letter sent again bears the same id, so that a mailbox keeps one. */
  readonly messageId: string;
}

/** Writes to a consumer; `none` where the directory knows no address. */
export interface Notifier {
  send(letter: Letter): Promise<{ readonly how: 'mail' | 'none'; readonly messageId: string | null }>;
}

const directorySchema = z.strictObject({ consumers: z.record(z.string(), z.strictObject({ mail: z.email() })) });

export interface MailConfig {
  /** `smtp://host:port` or `smtps://user:password@host`. */
  readonly smtp: string;
  readonly from: string;
  /** JSON file, read at each letter: `{ "consumers": { "<id>": { "mail": "<address>" } } }`. It is not kept in WORM. */
  readonly directory: string;
}

export function createMailer({ smtp, from, directory }: MailConfig): Notifier {
  const transport = createTransport(smtp, {
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
  });
  return {
    send: async ({ consumer, subject, text, messageId }) => {
      const { consumers } = checkShape(directorySchema, parseJson(await readFile(directory), directory), directory);
      const to = Object.hasOwn(consumers, consumer) ? consumers[consumer]?.mail : undefined;
      if (to === undefined) return { how: 'none', messageId: null };
      try {
        await transport.sendMail({ from, to, subject, text, messageId });
      } catch (cause) {
        throw new CustodyError('MAIL_UNAVAILABLE', `the mail server did not take the notice to ${consumer}`, { cause });
      }
      return { how: 'mail', messageId };
    },
  };
}
