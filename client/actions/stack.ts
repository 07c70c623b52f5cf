import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readScanners } from '../../adapters/scan/known.js';
import { CustodyError } from '../../domain/errors.js';
import { initialise } from '../init.js';
import { interruption, whenAborted } from '../interruption.js';
import { answer, talk } from '../output.js';
import type { Session } from '../session.js';
import { digitsStack } from '../stack/digits.js';
import { startStack } from '../stack/stack.js';

export async function init(session: Session, options: { suite: string; environment: string }): Promise<void> {
  if (!existsSync(options.suite)) throw new CustodyError('INPUT_MISSING', `there is no suite ${options.suite}`);
  const { created } = initialise(session.layout, options);
  const policy = join(session.layout.state, 'policy.yaml');
  answer(session, { created, policy }, [created ? `made ${policy} and keys beside it` : `${policy} is there already`]);
}

export async function dev(
  session: Session,
  options: { uiPort?: string; gatewayPort?: string; smtp: string; scanners?: string },
): Promise<void> {
  const ports = {
    ...(options.uiPort === undefined ? {} : { ui: port(options.uiPort) }),
    ...(options.gatewayPort === undefined ? {} : { gateway: port(options.gatewayPort) }),
  };
  const scanners = options.scanners === undefined ? {} : await readScanners(options.scanners);
  const signal = interruption();
  const set = { ...digitsStack(session.layout, options.smtp), scanners, ports };
  const stack = await startStack({ ...set, say: talk, signal });
  const { temporal, gateway, api, metrics } = stack.description;
  if (stack.shared !== null) talk(`the zones share one user: ${stack.shared}`);
  talk('the embedded store is safe against crashes of processes, not of power: it is for development');
  answer(session, stack.description, [
    `Temporal UI  ${temporal.ui}`,
    `gateway      ${gateway.url}`,
    `api          ${api.url}`,
    ...Object.entries(metrics).map(([name, url], at) => `${at === 0 ? 'metrics' : '       '}      ${url}  ${name}`),
    'Ctrl-C ends it',
  ]);
  await whenAborted(signal);
  talk('stopping …');
  await stack.stop();
}

function port(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value < 65_536) return value;
  throw new CustodyError('USAGE', `${text} is not a port: 1 to 65535`);
}
