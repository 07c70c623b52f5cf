import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { developmentPolicyFields } from './policy-fields.js';

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'deploy/README.md',
  'docs/architecture.md',
  'docs/gateway.md',
  'docs/operations.md',
  'docs/policy.md',
  'docs/rollout.md',
  'docs/alerts.md',
  'docs/drills.md',
  'docs/audit.md',
  'docs/approvals.md',
  'docs/versioning.md',
  'docs/provenance.md',
  'docs/data.md',
  'docs/suites.md',
  'docs/ci.md',
  'docs/consumers.md',
  'docs/evidence.md',
  'docs/environments.md',
  'docs/observability.md',
  'docs/recovery.md',
  'docs/upgrade.md',
];
const textOf = (page: string): string => readFileSync(page, 'utf8');

/** The command as it is built from every file of client/commands. */
async function wholeProgram(): Promise<Command> {
  const program = new Command('custody');
  for (const file of readdirSync('client/commands').filter((name) => name.endsWith('.ts'))) {
    const module = (await import(`../../../client/commands/${file.replace(/\.ts$/, '.js')}`)) as Record<
      string,
      unknown
    >;
    for (const [name, add] of Object.entries(module))
      if (/Commands?$/.test(name) && typeof add === 'function') (add as (program: Command) => void)(program);
  }
  return program;
}

/** Each command that does something, by its whole name. */
function leaves(command: Command, prefix = ''): [name: string, command: Command][] {
  return command.commands.flatMap((nested): [string, Command][] => {
    const name = `${prefix}${nested.name()}`;
    // One that takes something does something, whatever is below it.
    const own: [string, Command][] =
      nested.commands.length === 0 || nested.registeredArguments.length > 0 ? [[name, nested]] : [];
    return [...own, ...leaves(nested, `${name} `)];
  });
}

const program = await wholeProgram();
const commands = leaves(program);
const doing = new Set(commands.map(([name]) => name));
const groups = program.commands.filter((command) => command.commands.length > 0).map((command) => command.name());

/** What stands in code, where a command is meant and not prose. */
function codeOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```[a-z]*\n([\s\S]*?)^```/gm)].flatMap((match) => (match[1] ?? '').split('\n'));
  const prose = text.replace(/^```[\s\S]*?^```/gm, '');
  return [...blocks, ...[...prose.matchAll(/`([^`]+)`/g)].map((match) => (match[1] ?? '').replace(/\s+/g, ' '))];
}

function commandsNamedIn(page: string): string[] {
  return codeOf(textOf(page)).flatMap((line) =>
    [...line.matchAll(/(?:^|\s)custody (?:-- )?([a-z]+)(?: ([a-z]+))?/g)].map(([, first = '', second = '']) =>
      groups.includes(first) && !(doing.has(first) && !doing.has(`${first} ${second}`)) ? `${first} ${second}` : first,
    ),
  );
}

describe.each(PAGES)('%s', (page) => {
  it('links only to what is there', () => {
    const links = [...textOf(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map((match) => match[1] ?? '');
    expect(links.length).toBeGreaterThan(0);
    for (const link of links.filter((each) => !/^[a-z]+:/.test(each)))
      expect(existsSync(join(dirname(page), link)), link).toBe(true);
  });

  it('names only commands that there are', () => {
    for (const name of commandsNamedIn(page)) expect(commands.map(([known]) => known)).toContain(name);
  });

  it('names only npm scripts that there are', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    for (const [, name] of textOf(page).matchAll(/npm run ([a-z]+)/g)) expect(Object.keys(scripts)).toContain(name);
  });
});

describe('the README', () => {
  it('names every command', () => {
    const named = commandsNamedIn('README.md');
    for (const [name] of commands) expect(named).toContain(name);
  });

  it('names every exit code', () => {
    const codes = [...textOf('domain/errors.ts').matchAll(/exit: (\d+)/g)].map((match) => match[1]);
    expect(codes.length).toBeGreaterThan(10);
    for (const code of new Set(codes)) expect(textOf('README.md')).toContain(`| ${code} `);
  });
});

describe('docs/operations.md', () => {
  it('explains every field of the policy', () => {
    const code = codeOf(textOf('docs/operations.md'));
    const fields = developmentPolicyFields();
    expect(fields.length).toBeGreaterThan(20);
    for (const field of fields) expect(code, field).toContain(field);
  });
});

it.each(commands)('custody %s says in its help what it does and what its options are', (_, command) => {
  expect(command.description().length).toBeGreaterThan(10);
  for (const option of command.options) expect(option.description.length, option.flags).toBeGreaterThan(3);
  expect(command.helpInformation()).toContain('Usage:');
});
