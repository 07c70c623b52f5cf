import { quote } from '../printable.js';
import type { Report } from './reader.js';

const GIN_NAME = /\.gin$/i;
/** A line by which Gin imports a module or reads another file. */
const STATEMENT = /^[^\S\n]*(?:import|from|include)\b[^\n]*/m;
/** What is bound to a function of somebody's: `@function`, called where `()` follows. */
const REFERENCE = /@[\w/.]+(?:\(\))?/;
const STRING_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|#[^\n]*/g;

/** Tells what in a configuration of Gin makes its reader import or call something. Values, and macros of values, call nothing. */
export function checkGin(name: string, text: string, report: Report): void {
  if (!GIN_NAME.test(name)) return;
  // Each is overwritten with as many blanks, so that places stay the same.
  const bare = text.replace(STRING_OR_COMMENT, (found) => ' '.repeat(found.length));
  for (const pattern of [STATEMENT, REFERENCE]) {
    const found = pattern.exec(bare);
    if (found !== null)
      report(found.index, 'import-path', `Gin would import or call what this names: ${quote(found[0].trim())}`);
  }
}
