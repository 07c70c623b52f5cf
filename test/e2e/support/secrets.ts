import { createPrivateKey } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/** Where secrets are kept: each is there, and nowhere else. */
const PLACES = [
  /^keys\//,
  /^store-secrets\.json$/,
  /^store\/accounts\//,
  /^zones\/[a-z-]+\/config\.json$/,
  /^zones\/[a-z-]+\/[a-z-]+\.pem$/,
  /^zones\/vault\/state\/keys\//,
];
/** Whoever has it reads for a time: no secret that is kept anywhere. */
const SIGNED_URL = Buffer.from('X-Amz-Signature=');
/** Its secret is in what describes the stack: it reads what is encrypted. */
const PUBLIC_ACCOUNT = 'reader';

/** Every secret that a stack in this folder has, by what it is. Keys that are destroyed later stay known here. */
export class Secrets {
  readonly #state: string;
  readonly #known = new Map<string, Buffer>();

  constructor(state: string) {
    this.#state = state;
  }

  get names(): readonly string[] {
    return [...this.#known.keys()];
  }

  take(): void {
    for (const file of this.#files('keys')) {
      const text = readFileSync(file, 'utf8');
      const scalar = file.endsWith('.pem') ? createPrivateKey(text).export({ format: 'jwk' }).d : undefined;
      this.#known.set(
        basename(file),
        scalar === undefined ? Buffer.from(text.trim()) : Buffer.from(scalar, 'base64url'),
      );
    }
    for (const file of this.#files('zones', 'vault', 'state', 'keys'))
      this.#known.set(`the key of ${basename(file)}`, readFileSync(file));
    const accounts = JSON.parse(readFileSync(join(this.#state, 'store-secrets.json'), 'utf8')) as Record<
      string,
      string
    >;
    for (const [account, secret] of Object.entries(accounts))
      if (account !== PUBLIC_ACCOUNT) this.#known.set(`the store's account ${account}`, Buffer.from(secret));
  }

  /** Which of them lie where they do not belong: in logs, in Temporal's database, in the store, in anybody's state. */
  leaks(): string[] {
    const needles = [...this.#known].flatMap(([name, raw]) =>
      [raw, ...(['hex', 'base64', 'base64url'] as const).map((encoding) => textOf(raw, encoding))].map(
        (needle) => [name, needle] as const,
      ),
    );
    const others = this.#files().filter((file) => !PLACES.some((place) => place.test(relative(this.#state, file))));
    return others.flatMap((file) => {
      const bytes = whileThere(() => readFileSync(file), Buffer.alloc(0));
      const found = [...needles, ['a signed URL', SIGNED_URL] as const].filter(([, needle]) => bytes.includes(needle));
      return [...new Set(found.map(([name]) => `${name} in ${relative(this.#state, file)}`))];
    });
  }

  #files(...path: readonly string[]): string[] {
    const folder = join(this.#state, ...path);
    return whileThere(() => readdirSync(folder, { withFileTypes: true }), []).flatMap((entry) => {
      if (entry.isDirectory()) return this.#files(...path, entry.name);
      return entry.isFile() ? [join(folder, entry.name)] : [];
    });
  }
}

/** The stack runs meanwhile: what it takes away, like the journal of a database, holds nothing any more. */
function whileThere<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise;
    throw error;
  }
}

/** Without its end, which depends on what follows. */
function textOf(raw: Buffer, encoding: 'hex' | 'base64' | 'base64url'): Buffer {
  const text = raw.toString(encoding);
  return Buffer.from(encoding === 'hex' ? text : text.slice(0, Math.floor(raw.length / 3) * 4));
}
