import type { Command } from 'commander';
import type { Custody } from './connect.js';
import { fail, type Output } from './output.js';
import { Layout } from './stack/layout.js';

/** What every command is given: where the stack is, and how to answer. */
export interface Session extends Output {
  readonly layout: Layout;
}

export function sessionOf(command: Command): Session {
  const { state, json = false } = command.optsWithGlobals<{ state?: string; json?: boolean }>();
  return { layout: new Layout(state), json };
}

type Body<S extends Session, A extends unknown[]> = (session: S, ...args: A) => Promise<void>;

/**
 * Runs what `load` imports; whatever it throws becomes one message and an exit code. The code of a command is loaded only
 * when it runs, so that help and a mistyped argument are answered at once.
 */
export function action<A extends unknown[]>(
  load: () => Promise<Body<Session, A>>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const session = sessionOf(command);
    try {
      const body = await load();
      await body(session, ...(args.slice(0, -1) as A));
    } catch (error) {
      fail(session, error);
    }
  };
}

export type ConnectedSession = Session & { readonly custody: Custody };

/** The same, with a connection to the running stack. */
export function connected<A extends unknown[]>(
  load: () => Promise<Body<ConnectedSession, A>>,
): (...args: unknown[]) => Promise<void> {
  return action<A>(async () => {
    const body = await load();
    return (session, ...args) => whileConnected(session, (own) => body(own, ...args));
  });
}

export async function whileConnected(
  session: Session,
  body: (session: ConnectedSession) => Promise<void>,
): Promise<void> {
  const { connect } = await import('./connect.js');
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
