import type { Digest } from '../../../domain/digest.js';
import type { SignedEnvelope } from '../../../domain/statements.js';
import type { KeyName } from '../../support/world.js';
import type { Source } from './release.js';

/** People who have agreed to one request, each with what they said. */
export interface Ballot {
  readonly request: Digest;
  readonly expiresAt: number;
  readonly agreed: Map<string, SignedEnvelope>;
}

/** The release that was asked for last. */
export interface Candidate {
  readonly made: Source;
  readonly ballot: Ballot;
  /** The revision that people were asked to deploy after. */
  readonly from: number;
  /** `waits`: agreed to, and the endpoint is stopped. */
  state: 'asked' | 'waits' | 'promoted' | 'ended';
}

/** How one endpoint and its releases must stand, whoever crashes or is reset meanwhile. */
export class Reference {
  /** How many releases were asked for. */
  asked = 0;
  candidate: Candidate | null = null;
  /** The version that serves all callers. */
  serving: string | null = null;
  revision = 0;
  /** Orders that nobody has lifted. */
  readonly kills = new Set<Digest>();
  restore: (Ballot & { readonly kills: readonly Digest[]; readonly asked: SignedEnvelope }) | null = null;
  /** How each release has ended, by version. */
  readonly ends = new Map<string, string>();
  /** There is an endpoint once a first deployment was agreed to. */
  hasEndpoint = false;

  static readonly QUORUM = 2;

  /** Answers whether it is enough. A person counts once, with whatever keys. */
  agree(ballot: Ballot, by: KeyName, said: SignedEnvelope): boolean {
    ballot.agreed.set(by.replace(/-2$/, ''), said);
    return ballot.agreed.size >= Reference.QUORUM;
  }

  /** People have agreed. What was decided about another revision than there is by then does not come about. */
  deploy(candidate: Candidate): void {
    this.hasEndpoint = true;
    if (this.kills.size > 0) candidate.state = 'waits';
    else if (candidate.from !== this.revision) this.end(candidate, 'rejected');
    else {
      candidate.state = 'promoted';
      this.serving = candidate.made.version;
      this.revision += 2;
    }
  }

  end(candidate: Candidate, how: string): void {
    candidate.state = 'ended';
    this.ends.set(candidate.made.version, how);
  }

  lift(kills: readonly Digest[]): void {
    for (const kill of kills) this.kills.delete(kill);
    this.restore = null;
    this.revision += 1;
    if (this.kills.size === 0 && this.candidate?.state === 'waits') this.deploy(this.candidate);
  }
}
