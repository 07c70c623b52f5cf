import type { Facts, Finding } from '../facts.js';

/** One requirement of OWASP AISVS, in our words, and how it is checked from what a dossier holds. */
export interface Requirement {
  readonly id: string;
  readonly level: 1 | 2 | 3 | null;
  readonly text: string;
  readonly check: (facts: Facts) => Finding;
}

export function draft(id: string, level: 1 | 2 | 3, text: string, check: Requirement['check']): Requirement {
  return { id: `draft-${id}`, level, text, check };
}

export function v1(id: string, text: string, check: Requirement['check']): Requirement {
  return { id: `v1.0-${id}`, level: null, text, check };
}
