import { isolationOf, NOT_CONTROLLED } from '../isolation/matrix.js';
import type { Cell } from '../isolation/cell.js';
import { answer, bad, faint, good, heading, plain } from '../output.js';
import type { Session } from '../session.js';

const REFUSED = 3;
const DOWN = 7;

/** The matrix for people: a row for each service, with what was refused counted; what was not stands there by itself. */
export async function isolation(session: Session, states: readonly string[]): Promise<void> {
  const cells = await isolationOf([session.layout.state, ...states]);
  const open = cells.filter(({ state }) => state === 'accepted');
  const unknown = cells.filter(({ state }) => state === 'unknown');
  answer(session, { isolated: open.length === 0 && unknown.length === 0, cells, notControlled: NOT_CONTROLLED }, [
    ...rowsOf(cells),
    ...[...open, ...unknown].map(({ of, on, service, credential, state, how }) =>
      plain(
        `${state === 'accepted' ? bad('accepted') : bad('unknown ')} ${credential} of ${of} at ${service} of ${on}: ${how}`,
      ),
    ),
    ...caveatsOf(cells).map((caveat) => plain(caveat)),
    faint(NOT_CONTROLLED),
  ]);
  if (open.length > 0) process.exitCode = REFUSED;
  else if (unknown.length > 0) process.exitCode = DOWN;
}

function caveatsOf(cells: readonly Cell[]): readonly string[] {
  const found = cells.flatMap(({ of, credential, caveat }) =>
    caveat === undefined ? [] : [`${credential} of ${of}: ${caveat}`],
  );
  return [...new Set(found)];
}

function rowsOf(cells: readonly Cell[]): string[] {
  const pairs = [...new Set(cells.map(({ of, on }) => `${of} → ${on}`))];
  const services = [...new Set(cells.map(({ service }) => service))];
  const width = Math.max(...pairs.map((pair) => pair.length));
  const wide = Math.max(...services.map((service) => service.length));
  return [
    heading(`${''.padEnd(wide)}  ${pairs.map((pair) => pair.padEnd(width)).join('  ')}`),
    ...services.map((service) => {
      const row = pairs.map((pair) => {
        const own = cells.filter((cell) => cell.service === service && `${cell.of} → ${cell.on}` === pair);
        const held = own.filter(({ state }) => state === 'refused').length;
        const text = `${held} of ${own.length} refused`.padEnd(width);
        return held === own.length ? good(text) : bad(text);
      });
      return `${service.padEnd(wide)}  ${row.join('  ')}`;
    }),
  ];
}
