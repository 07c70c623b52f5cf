import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { factsOf } from '../../adapters/release-facts.js';
import type { Records } from '../../adapters/records.js';
import { NO_LIMITS, readRelease } from '../../adapters/source/folder.js';
import { inspectRelease } from '../../adapters/source/inspect.js';
import { CustodyError, exitCodeOf } from '../../domain/errors.js';
import { isModelName, isVersion } from '../../domain/names.js';
import type { ReleaseFacts } from '../../domain/release-facts.js';
import { diffReleases } from '../../domain/semantic-diff.js';
import { versionProblem, type ReleaseChange, type Versioning } from '../../domain/versioning.js';
import { parsePolicyYaml } from '../../formats/policy.js';
import { openReading } from '../connect.js';
import { answer, good, heading, plain } from '../output.js';
import type { Session } from '../session.js';

export async function diff(
  session: Session,
  before: string,
  after: string,
  options: { policy?: string },
): Promise<void> {
  const stack = new LazyStack(session);
  const criteria = await criteriaOf(stack, options.policy);
  const [from, to] = [await factsFrom(stack, before), await factsFrom(stack, after)];
  const difference = diffReleases(from, to, criteria);
  const compared = { version: to.version, from: { version: from.version, release: '' }, ...difference };
  const problem = versionProblem(compared, criteria);
  const { changes, leastBump, components } = difference;
  const value = { from: nameOf(from), to: nameOf(to), leastBump, satisfied: problem === null, problem };
  answer(session, { ...value, components, changes }, [
    heading(`${from.model} ${from.version} → ${to.model} ${to.version}`),
    ...table(changes),
    changes.length === 0 ? 'nothing has changed' : `least bump: ${leastBump}`,
    problem === null ? good(`${to.version} says enough`) : plain(problem),
  ]);
  if (problem !== null) process.exitCode = exitCodeOf('VERSION_TOO_SMALL');
}

/** Folders are compared without a stack: it is looked for only where it is needed. */
class LazyStack {
  private readonly session: Session;
  private opened: Records | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  get records(): Records {
    this.opened ??= openReading(this.session.layout).records;
    return this.opened;
  }
}

async function criteriaOf(stack: LazyStack, file: string | undefined): Promise<Versioning> {
  if (file !== undefined) return parsePolicyYaml(readFileSync(file, 'utf8'), file).value.versioning;
  return (await stack.records.policies()).newest.versioning;
}

async function factsFrom(stack: LazyStack, given: string): Promise<ReleaseFacts> {
  if (existsSync(given)) return inspectRelease(await readRelease(resolve(given), NO_LIMITS));
  const [model = '', version = '', ...more] = given.split('@');
  if (!isModelName(model) || !isVersion(version) || more.length > 0)
    throw new CustodyError('INPUT_MISSING', `${given} is neither a folder nor <model>@<version>`);
  return (await factsOf(stack.records, { model, version })).facts;
}

function nameOf({ model, version }: ReleaseFacts): { readonly model: string; readonly version: string } {
  return { model, version };
}

const HEADINGS = ['demands', 'rule', 'component', 'what', 'before', 'after', 'moved by'];

function table(changes: readonly ReleaseChange[]): string[] {
  if (changes.length === 0) return [];
  const rows = [HEADINGS, ...changes.map(rowOf)].map((row) => row.map(plain));
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function rowOf({ demands, what, component, file, path, from, to, measure, more }: ReleaseChange): string[] {
  const place = more > 0 ? `${more} more` : (path ?? file ?? '');
  const moved = measure === null ? '' : `about ${Number((measure * 100).toPrecision(2))} %`;
  return [demands, what, component ?? '(release)', place, from ?? '', to ?? '', moved];
}
