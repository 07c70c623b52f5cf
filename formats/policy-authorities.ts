import { z } from 'zod';
import { CustodyError } from '../domain/errors.js';
import { isId, lookOf } from '../domain/names.js';
import { PERSON_ROLES, WORKLOAD_ROLES, type Authority, type AuthorityKey, type Role } from '../domain/policy.js';
import { enrolledKey } from './enrolled.js';
import { time } from './fields.js';
import { oidcSchema } from './policy-oidc.js';

/** The people and workloads of a policy. */

/** Their signatures bear no time, so that no time can bound them. */
const TIMELESS = ['root', 'release-signer'] as const;
const TIMELESS_WHY = 'a key of a root or release signer ends with the policy that lists it no more, not by time';

const keyText = (read: (text: string) => unknown): z.ZodType<string> =>
  z.string().superRefine((text, context) => {
    const problem = problemOf(() => read(text));
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });

const key = z
  .strictObject({
    pem: keyText((pem) => enrolledKey({ pem })).exactOptional(),
    ssh: keyText((ssh) => enrolledKey({ ssh })).exactOptional(),
    validFrom: time.exactOptional(),
    validUntil: time.exactOptional(),
  })
  .refine(({ pem, ssh }) => (pem === undefined) !== (ssh === undefined), {
    message: 'a key is either "pem" or "ssh"',
    abort: true,
  })
  .transform((held) => held as AuthorityKey);

export const authoritySchema = z
  .strictObject({
    id: z.string().refine(isId, 'lower-case letters, digits, dots and dashes within'),
    kind: z.enum(['person', 'workload']),
    roles: z.array(z.enum([...new Set<Role>([...PERSON_ROLES, ...WORKLOAD_ROLES])])).min(1),
    keys: z.array(key).max(16).default([]),
    github: z.int().min(1).exactOptional(),
    oidc: oidcSchema.exactOptional(),
  })
  .refine(({ keys, oidc }) => keys.length > 0 || oidc !== undefined, {
    message: 'it has no key, and only a workload that has `oidc` needs none',
    path: ['keys'],
  })
  .refine(
    ({ kind, roles }) => {
      const allowed: readonly string[] = kind === 'person' ? PERSON_ROLES : WORKLOAD_ROLES;
      return roles.every((role) => allowed.includes(role));
    },
    { message: 'a person cannot hold a workload role, nor a workload a role of people', path: ['roles'] },
  )
  .refine(({ kind, github }) => kind === 'person' || github === undefined, {
    message: 'only people review on GitHub',
    path: ['github'],
  })
  .refine(({ roles }) => !roles.includes('verifier') || roles.length === 1, {
    message: 'who verifies for another environment may do nothing in this one: give it no other role',
    path: ['roles'],
  })
  .refine(({ roles }) => !roles.includes('drill') || roles.length === 1, {
    message: 'who drills does nothing else: give it no other role',
    path: ['roles'],
  })
  .refine(({ kind, keys }) => kind === 'person' || keys.every((held) => 'pem' in held), {
    message: 'a workload signs by itself: its keys are PEM',
    path: ['keys'],
  });

interface Problem {
  readonly message: string;
  /** From the list of authorities on. */
  readonly at: readonly (string | number)[];
}

/** What is wrong with them together. */
export function authorityProblems(
  authorities: readonly Pick<Authority, 'id' | 'roles' | 'keys' | 'github'>[],
): readonly Problem[] {
  const problems: Problem[] = [];
  const problem = (message: string, ...at: (string | number)[]): void => void problems.push({ message, at });
  const ids = new Set<string>();
  const looks = new Map<string, string>();
  authorities.forEach(({ id }, at) => {
    const twin = looks.get(lookOf(id));
    if (ids.has(id)) problem(`the id ${id} stands twice`, at, 'id');
    else if (twin !== undefined) problem(`the ids ${twin} and ${id} look the same`, at, 'id');
    ids.add(id);
    looks.set(lookOf(id), twin ?? id);
  });
  const numbers = new Map<number, string>();
  authorities.forEach(({ id, github }, at) => {
    if (github === undefined) return;
    const owner = numbers.get(github);
    if (owner !== undefined) problem(`this is ${owner} on GitHub: one person, one id`, at, 'github');
    numbers.set(github, id);
  });
  const owners = new Map<string, string>();
  authorities.forEach((held, at) =>
    held.keys.forEach((entry, index) => {
      if (problemOf(() => enrolledKey(entry)) !== null) return;
      const { keyId } = enrolledKey(entry);
      const owner = owners.get(keyId);
      if (owner !== undefined) problem(`this key is already ${owner}'s: a key has one owner`, at, 'keys', index);
      owners.set(keyId, held.id);
    }),
  );
  authorities.forEach(({ roles, keys }, at) => {
    const timeless = TIMELESS.find((role) => roles.includes(role));
    if (timeless === undefined) return;
    keys.forEach((held, index) => {
      for (const bound of ['validFrom', 'validUntil'] as const)
        if (held[bound] !== undefined)
          problem(`${TIMELESS_WHY}: leave it out of the policy instead`, at, 'keys', index, bound);
    });
  });
  return problems;
}

/** What is wrong with a key; `null` where it may be enrolled. */
function problemOf(read: () => unknown): string | null {
  try {
    read();
    return null;
  } catch (error) {
    if (error instanceof CustodyError && error.code === 'MALFORMED') return error.message;
    throw error;
  }
}
