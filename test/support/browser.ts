import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'undici';

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** A real Chromium without a screen, by its DevTools protocol: one page at a time. */
export class Browser {
  /** Addresses of everything that the pages have asked for. */
  readonly requested: string[] = [];
  readonly #socket: WebSocket;
  readonly #stop: () => Promise<void>;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #events = new Map<string, () => void>();
  #count = 0;
  #session = '';

  private constructor(socket: WebSocket, stop: () => Promise<void>) {
    this.#socket = socket;
    this.#stop = stop;
    socket.addEventListener('message', ({ data }) => this.#heard(JSON.parse(String(data)) as Reply));
  }

  static async start(): Promise<Browser> {
    const program = process.env['CUSTODY_CHROMIUM'];
    if (program === undefined || !existsSync(program))
      throw new Error('CUSTODY_CHROMIUM names no browser: run the tests with npm test');
    const profile = mkdtempSync(join(tmpdir(), 'custody-browser-'));
    const switches = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--remote-debugging-port=0'];
    const child = spawn(program, [...switches, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(child, 'close');
    const stop = async (): Promise<void> => {
      child.kill('SIGKILL');
      await ended;
      rmSync(profile, { recursive: true, force: true });
    };
    let said = '';
    const url = await new Promise<string>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const found = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
        if (found !== undefined) resolve(found);
      });
      child.once('close', () => reject(new Error(`the browser has ended:\n${said}`)));
    });
    const socket = new WebSocket(url);
    await once(socket, 'open');
    const browser = new Browser(socket, stop);
    const { targetId } = await browser.ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.ask('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = String(sessionId);
    for (const domain of ['Page', 'Network', 'Runtime']) await browser.ask(`${domain}.enable`);
    return browser;
  }

  async stop(): Promise<void> {
    this.#socket.close();
    await this.#stop();
  }

  ask(method: string, params: Readonly<Record<string, unknown>> = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = (this.#count += 1);
    const session = this.#session === '' ? {} : { sessionId: this.#session };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result = {}, error }) =>
        error === undefined ? resolve(result) : reject(new Error(`${method}: ${error.message}`)),
      );
      this.#socket.send(JSON.stringify({ id, method, params, ...session }));
    });
  }

  /** Opens a page in a window of this width, and waits until it has loaded. */
  async open(url: string, width: number, height = 900): Promise<void> {
    await this.ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    const loaded = new Promise<void>((resolve) => this.#events.set('Page.loadEventFired', resolve));
    await this.ask('Page.navigate', { url });
    await loaded;
  }

  /** What an expression comes to in the page; the page's own rules do not bind it. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.ask('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { readonly value?: unknown }).value;
  }

  #heard({ id, method, params, ...reply }: Reply): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.(reply);
      this.#waiting.delete(id);
      return;
    }
    if (method === 'Network.requestWillBeSent')
      this.requested.push((params?.['request'] as { readonly url: string }).url);
    this.#events.get(method ?? '')?.();
  }
}
