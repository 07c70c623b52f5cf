import { answer, faint, good } from '../output.js';
import type { Session } from '../session.js';
import { readDescription, writeDescription } from '../stack/layout.js';
import { learnLogKeys, replaceLogKey } from '../stack/log-keys.js';

export async function showKeys(session: Session): Promise<void> {
  const { layout } = session;
  const description = readDescription(layout);
  const { vkey } = description.audit;
  const keys = (await learnLogKeys(layout, description.desk, vkey)) ?? vkey;
  if (keys !== vkey) writeDescription(layout, { ...description, audit: { vkey: keys } });
  answer(session, { vkey: keys }, keys.split('\n'));
}

export async function rotate(session: Session): Promise<void> {
  const made = replaceLogKey(session.layout);
  answer(session, made, [
    good(`${made.file} signs the log from the next start of control on`),
    faint(`until then ${made.previous} stays beside it: it has to hand the log over`),
  ]);
}
