import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface Letter {
  readonly to: string;
  readonly messageId: string;
  readonly subject: string;
}

/** A real mail server on loopback, for the consumers of the story. */
export class Mailbox {
  readonly letters: Letter[] = [];
  /** What callers broke off. */
  readonly broken: Error[] = [];
  readonly #server: SMTPServer;

  readonly #scheme: string;

  /** `tls`: it speaks nothing else. */
  constructor(tls?: { readonly key: Buffer; readonly cert: Buffer }) {
    this.#scheme = tls === undefined ? 'smtp' : 'smtps';
    this.#server = new SMTPServer({
      ...(tls === undefined ? { disabledCommands: ['STARTTLS', 'AUTH'] } : { ...tls, secure: true }),
      authOptional: true,
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          this.#keep(
            Buffer.concat(chunks).toString('utf8'),
            session.envelope.rcptTo.map(({ address }) => address),
          );
          done();
        });
      },
    });
    this.#server.on('error', (error) => this.broken.push(error));
  }

  async open(): Promise<string> {
    const listening = once(this.#server.server, 'listening');
    this.#server.listen(0, '127.0.0.1');
    await listening;
    return `${this.#scheme}://127.0.0.1:${(this.#server.server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** A mailbox keeps one letter of each id, however often it is sent. */
  #keep(text: string, recipients: readonly string[]): void {
    const header = (name: string): string =>
      new RegExp(`^${name}: (.*(?:\\r?\\n[ \\t].*)*)`, 'im').exec(text)?.[1]?.replace(/\r?\n[ \t]/g, ' ') ?? '';
    for (const to of recipients) {
      const letter = { to, messageId: header('message-id'), subject: header('subject') };
      const known = this.letters.some(({ messageId, to: before }) => messageId === letter.messageId && before === to);
      if (!known) this.letters.push(letter);
    }
  }
}
