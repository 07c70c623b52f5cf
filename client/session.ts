import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { CustodyError } from '../domain/errors.js';
import type { EnvelopeSigner } from '../formats/keys.js';
import { connect, ownerOf, type Custody, type Reading } from './connect.js';
import { readSigner } from './keys.js';
import { fail, plain, talk, type Output } from './output.js';
import type { Signer } from './requests.js';
import { Layout } from './stack/layout.js';

/** What every command is given: where the stack is, and how to answer. */
export interface Session extends Output {
  readonly layout: Layout;
}

export function sessionOf(command: Command): Session {
  const { state, json = false } = command.optsWithGlobals<{ state?: string; json?: boolean }>();
  return { layout: new Layout(state), json };
}

/** Runs a command's body; whatever it throws becomes one message and an exit code. */
export function action<A extends unknown[]>(
  body: (session: Session, ...args: A) => Promise<void>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const session = sessionOf(command);
    try {
      await body(session, ...(args.slice(0, -1) as A));
    } catch (error) {
      fail(session, error);
    }
  };
}

export type ConnectedSession = Session & { readonly custody: Custody };

/** The same, with a connection to the running stack. */
export function connected<A extends unknown[]>(
  body: (session: ConnectedSession, ...args: A) => Promise<void>,
): (...args: unknown[]) => Promise<void> {
  return action<A>((session, ...args) => whileConnected(session, (own) => body(own, ...args)));
}

export async function whileConnected(
  session: Session,
  body: (session: ConnectedSession) => Promise<void>,
): Promise<void> {
  const custody = await connect(session.layout);
  try {
    await body({ ...session, custody });
  } finally {
    await custody.close();
  }
}

export const KEY_OPTION = [
  '--key <file>',
  'your key: a PEM or OpenSSH private key file, the .pub of a key in the agent, or an id of the development environment',
] as const;

/** The person behind `--key`. */
export async function signerOf(
  session: { readonly layout: Layout; readonly custody: Reading },
  given: string,
): Promise<Signer> {
  const key = readGiven(session.layout, given);
  const { records } = session.custody;
  const { newestDigest } = await records.policies();
  return { key, id: await ownerOf(session.custody, key), environment: records.environment, policy: newestDigest };
}

/**
 * Whoever stops something. A policy that cannot be read, because the store is down or was tampered with, delays no kill: the
 * gateways know the policy, and decide whose order counts.
 */
export async function killerOf(
  session: { readonly layout: Layout; readonly custody: Reading },
  given: string,
): Promise<Pick<Signer, 'key' | 'environment'>> {
  const key = readGiven(session.layout, given);
  try {
    await ownerOf(session.custody, key);
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code === 'NOT_AUTHORISED') throw error;
    talk(
      plain(
        `warning: the policy cannot be read (${error.code}: ${error.message}): whether this key may kill is not known here`,
      ),
    );
  }
  return { key, environment: session.custody.description.environment };
}

function readGiven(layout: Layout, given: string): EnvelopeSigner {
  const file = existsSync(given) ? given : layout.key(given);
  return readSigner(existsSync(file) ? file : given);
}
