import type { Letter } from '../adapters/notifier.js';
import type { Dependent } from '../domain/dependents.js';
import type { Digest } from '../domain/digest.js';
import type { ReleaseName } from '../domain/names.js';
import type { RequestPredicate, Verified } from '../domain/statements.js';
import { sha256 } from '../formats/sha256.js';

/** A retirement that people are told of. */
export interface Ending {
  readonly name: ReleaseName;
  readonly release: Digest;
  readonly request: Verified<RequestPredicate>;
  readonly retiresAt: string;
}

/** What somebody who depends on a release is told. `reminder`: the time that it was due. The same letter is one message. */
export function letterFor(
  { name: { model, version }, release, request, retiresAt }: Ending,
  { id, owner }: Dependent,
  reminder: string | null = null,
): Omit<Letter, 'consumer'> {
  const { action } = request.predicate;
  const reason = 'reason' in action ? action.reason : '';
  const answer =
    owner === null
      ? []
      : [
          `${owner} may acknowledge this for ${id}: ` +
            `custody notice acknowledge ${model}@${version} --consumer ${id} --key <file>`,
        ];
  return {
    messageId: `<${sha256(`${request.digest} ${id}${reminder === null ? '' : ` ${reminder}`}`).slice(0, 32)}@custody>`,
    data: {
      ...{
        occasion: reminder === null ? 'notice' : 'reminder',
        consumer: id,
        model,
        version,
        release,
        retiresAt,
        reason,
      },
      request: request.digest,
    },
    subject: `${reminder === null ? '' : 'Reminder: '}${model} ${version} is going to be retired at ${retiresAt}`,
    text: [
      `The release ${version} of the model ${model} is going to be retired at ${retiresAt}.`,
      `Reason: ${reason}`,
      `After that it answers no request, its keys are destroyed, and nobody can load it again.`,
      `Release digest: ${release}`,
      ...answer,
    ].join('\n\n'),
  };
}
