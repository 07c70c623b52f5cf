import { CustodyError } from '../../domain/errors.js';
import type { Cell } from './cell.js';
import { openEnvironment, type Environment } from './environment.js';
import { tryNamespace, tryStore } from './places.js';
import { tryAlerts, tryGenuine, trySignatures } from './signatures.js';
import { tryUsers } from './users.js';
import { tryVault } from './vault.js';

/** Said with every matrix: what it cannot find, because nothing controls it. */
export const NOT_CONTROLLED =
  'who may knock at Temporal is not controlled: the development server asks nobody. What was tried is what counts there, a signed message and a namespace';

/** Tries every credential of each environment on every service of each of the others. USAGE: they are not different ones. */
export async function isolationOf(states: readonly (string | undefined)[]): Promise<readonly Cell[]> {
  const environments: Environment[] = [];
  for (const state of states) environments.push(await openEnvironment(state));
  const folders = new Set(environments.map(({ reading }) => reading.layout.state));
  if (folders.size < states.length || states.length < 2)
    throw new CustodyError('USAGE', 'name the state folders of other environments with --with');
  const cells: Cell[] = [];
  for (const from of environments)
    for (const to of environments) if (from !== to) cells.push(...(await between(from, to)));
  return cells;
}

async function between(from: Environment, to: Environment): Promise<readonly Cell[]> {
  const tried = [
    ...(await tryStore(from, to)),
    await tryNamespace(from, to),
    ...(await trySignatures(from, to)),
    await tryGenuine(from, to),
    await tryAlerts(from, to),
    await tryVault(from, to),
    ...(await tryUsers(from.reading, to.reading)),
  ];
  return tried.map((cell) => ({ of: from.name, on: to.name, ...cell }));
}
