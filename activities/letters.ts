import type { Letter } from '../adapters/notifier.js';
import type { Dependent } from '../domain/dependents.js';
import type { Digest } from '../domain/digest.js';
import type { ReleaseName } from '../domain/names.js';
import type { RequestPredicate, Verified } from '../domain/statements.js';
import { sayVulnerability, type Vulnerability } from '../domain/vulnerability.js';
import { sha256 } from '../formats/sha256.js';

/** The end of a release that people are told of. */
export interface Ending {
  readonly name: ReleaseName;
  readonly release: Digest;
  readonly ground: Ground;
  readonly retiresAt: string;
}

/** Why it ends: people have agreed to its retirement, or a security authority has condemned it. */
export interface Ground {
  readonly kind: 'retirement' | 'emergency';
  /** Of the request, or of the vulnerability notice. */
  readonly digest: Digest;
  readonly says: string;
  /** What to use then, where somebody has said so. */
  readonly instead?: string;
  readonly policy: Digest | null;
}

export function requested({ digest, predicate }: Verified<RequestPredicate>): Ground {
  const { action, policy } = predicate;
  const { reason: says, instead } = action.kind === 'retire' ? action : { reason: '' };
  return { kind: 'retirement', digest, policy, says, ...(instead === undefined ? {} : { instead }) };
}

export function found({ digest, predicate }: Vulnerability): Ground {
  return { kind: 'emergency', digest, policy: null, says: sayVulnerability(predicate) };
}

/** What somebody who depends on a release is told. `reminder`: the time that it was due. The same letter is one message. */
export function letterFor(
  ending: Ending,
  { id, owner }: Dependent,
  reminder: string | null = null,
): Omit<Letter, 'consumer'> {
  const { name, release, ground, retiresAt } = ending;
  const occasion = ground.kind === 'emergency' ? 'emergency' : reminder === null ? 'notice' : 'reminder';
  const [subject, ...text] =
    ground.kind === 'emergency' ? stopped(ending) : toCome(ending, { id, owner, isAgain: reminder !== null });
  return {
    messageId: `<${sha256(`${ground.digest} ${id}${reminder === null ? '' : ` ${reminder}`}`).slice(0, 32)}@custody>`,
    data: {
      ...{ occasion, consumer: id, ...name, release, retiresAt, reason: ground.says, request: ground.digest },
      ...(ground.instead === undefined ? {} : { instead: ground.instead }),
    },
    subject,
    text: [...text, `Release digest: ${release}`].join('\n\n'),
  };
}

type Worded = readonly [subject: string, ...text: string[]];

function toCome(
  { name: { model, version }, ground, retiresAt }: Ending,
  { id, owner, isAgain }: Pick<Dependent, 'id' | 'owner'> & { readonly isAgain: boolean },
): Worded {
  const command = `custody notice acknowledge ${model}@${version} --consumer ${id} --key <file>`;
  return [
    `${isAgain ? 'Reminder: ' : ''}${model} ${version} is going to be retired at ${retiresAt}`,
    `The release ${version} of the model ${model} is going to be retired at ${retiresAt}.`,
    `Reason: ${ground.says}`,
    ...(ground.instead === undefined ? [] : [`Use instead: ${ground.instead}`]),
    `After that it answers no request, its keys are destroyed, and nobody can load it again.`,
    ...(owner === null ? [] : [`${owner} may acknowledge this for ${id}: ${command}`]),
  ];
}

function stopped({ name: { model, version }, ground }: Ending): Worded {
  return [
    `${model} ${version} has been stopped because of ${ground.says}`.slice(0, 200),
    `The release ${version} of the model ${model} has been stopped and is revoked: it will not serve again.`,
    `Reason: ${ground.says}`,
    `What it has answered before may have been affected.`,
  ];
}
