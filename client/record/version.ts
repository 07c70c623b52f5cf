import { changeHolds, contentHolds } from '../../domain/authorise.js';
import { sayPrompts } from '../../domain/prompts.js';
import { demand } from '../../formats/evidence.js';
import type { Examination } from './examination.js';

/** What the release changes against the one before, and whether its version says enough. */
export async function version(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  if (ingested === undefined) return exam.absent('change');
  const checked =
    "the validator's signature, that it is about this release, and the least version that the policy demands";
  await exam.check('change', checked, async () => {
    const verified = await exam.statement('change', ingested.change);
    demand(changeHolds({ release: ingested.release, version: exam.name.version }, exam.rules, verified));
    const { from, changes } = verified.predicate;
    const says = from === null ? 'the first release' : `${changes.length} changes against ${from.version}`;
    return { value: null, says, by: verified.signers, statement: verified.digest };
  });
}

/** What the files of the release are by their content, and that nothing was found in them. */
export async function scan(exam: Examination): Promise<void> {
  const { ingested } = exam.progress;
  if (ingested === undefined) return exam.absent('scan');
  const checked = "the validator's signature, that it is of this release, and that the policy lets in what it found";
  await exam.check('scan', checked, async () => {
    const verified = await exam.statement('scan', ingested.scan);
    demand(contentHolds({ release: ingested.release, version: exam.name.version }, exam.rules, verified));
    const { verdict, formats, isolation, takenFrom, prompts } = verified.predicate;
    const told = formats.map(({ format, files }) => `${files} ${format}`).join(', ');
    const taken = takenFrom === undefined ? '' : `; ${takenFrom.files} of the base, ${takenFrom.reused} by its scan`;
    const said = prompts === undefined || prompts.files === 0 ? '' : `; ${sayPrompts(prompts)}`;
    const says = `${verdict}: ${told}${taken}${said}; isolation: ${isolation}`;
    return { value: null, says, by: verified.signers, statement: verified.digest };
  });
}
