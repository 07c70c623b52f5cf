/** What one experiment has found. */
export interface Found {
  readonly at: string;
  readonly seconds: number;
  readonly groups: readonly Group[];
  readonly figures: readonly Figure[];
}

/** Faults of one kind: how many were tried, and by name those that something did not survive. */
export interface Group {
  readonly what: string;
  readonly tried: number;
  readonly lost: readonly string[];
}

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

/** By experiment. */
export type Results = Readonly<Record<string, Found>>;

/** In the order of the page. Each is a file of this folder, which says at its top what is tried. */
export const EXPERIMENTS = {
  faults: 'Every activity goes wrong in every way',
  interleaving: 'Decisions, kills, expiry, resets and crashes in any order',
  processes: 'Every process is ended, held, without room, and a day ahead',
  reconcile: 'Temporal’s database is gone',
  upgrade: 'A worker of the last version beside one of this',
  scale: 'Two workers for each zone, Temporal on PostgreSQL, a slow store that fails',
  soak: 'An hour of releases, rollbacks, kills and retirements under traffic',
} as const;
export type Experiment = keyof typeof EXPERIMENTS;

/** The page about what was tried. */
export function page(results: Results): string {
  const known = Object.keys(EXPERIMENTS) as Experiment[];
  return [
    '# Reliability',
    '',
    '`npm run reliability` tries all of this and writes this page; `npm run reliability -- faults soak` tries some. A fault is survived when',
    'every invariant held: nothing serves without a chain in the store that verifies; a kill beats all else; every attempt is recorded;',
    'every effect happens once; every certificate is unique. What each experiment does exactly stands at the top of its file in',
    '`test/reliability/`.',
    '',
    '| experiment | faults tried | survived | lost | |',
    '| --- | ---: | ---: | ---: | --- |',
    ...known.flatMap((name) => {
      const found = results[name];
      if (found === undefined) return [];
      const [tried, lost] = [sum(found.groups.map((each) => each.tried)), sum(found.groups.map(lostOf))];
      const cells = [`[${EXPERIMENTS[name]}](#${name})`, tried, tried - lost, lost];
      return [`| ${cells.join(' | ')} | ${found.at.slice(0, 10)}, ${Math.ceil(found.seconds / 60)} min |`];
    }),
    ...known.flatMap((name) => (results[name] === undefined ? [] : section(name, results[name]))),
    '',
  ].join('\n');
}

const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);
const lostOf = ({ lost }: Group): number => lost.length;

function section(name: Experiment, { groups, figures }: Found): readonly string[] {
  const lines = ['', `## ${name}`, '', `${EXPERIMENTS[name]}: \`test/reliability/${name}.test.ts\`.`];
  if (groups.length > 0) lines.push('', '| faults | tried | survived | lost |', '| --- | ---: | ---: | --- |');
  for (const { what, tried, lost } of groups)
    lines.push(`| ${what} | ${tried} | ${tried - lost.length} | ${lost.join(', ') || 'none'} |`);
  if (figures.length > 0) lines.push('', '| figure | |', '| --- | ---: |');
  for (const { what, value, unit } of figures)
    lines.push(`| ${what} | ${`${value.toLocaleString('en-US')} ${unit}`.trim()} |`);
  return lines;
}
