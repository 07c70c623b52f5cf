import { CancellationScope, log } from '@temporalio/workflow';
import type { Digest } from '../domain/digest.js';
import type { ReleaseReference, RolloutEnded, RoutedPosition, ServiceBreach, Unnoted } from '../domain/endpoint.js';
import type { UnnotedVerdict } from '../domain/step-verdict.js';
import { failureOf } from './failures.js';
import { control, serving } from './zones.js';

/** What an endpoint has to do, sooner or later, and nothing waits for. */
export type Chore =
  | { readonly kind: 'reply'; readonly replyTo: string; readonly ended: RolloutEnded }
  | { readonly kind: 'stop'; readonly stopped: ReleaseReference }
  | { readonly kind: 'confirm'; readonly model: string; readonly order: Digest }
  | { readonly kind: 'note'; readonly model: string; readonly alerts: readonly Digest[]; readonly outcome: string }
  | {
      readonly kind: 'note rollback';
      readonly model: string;
      readonly order: Digest;
      readonly target: Digest | null;
      readonly since: string;
    }
  | { readonly kind: 'note verdict'; readonly model: string; readonly judged: UnnotedVerdict }
  | { readonly kind: 'note route'; readonly model: string; readonly what: Unnoted }
  | { readonly kind: 'note breach'; readonly model: string; readonly breached: ServiceBreach }
  | { readonly kind: 'note rejection'; readonly request: Digest; readonly statement: Digest }
  | { readonly kind: 'confirm route'; readonly model: string; readonly revision: number; readonly missing: string };

/** Each chore runs by itself, tried again by its activity until it is done; a continued run begins the rest anew. */
export class Chores {
  private open: Chore[] = [];
  private readonly confirmed: (order: Digest, took: string) => void;
  private readonly changed: () => void;

  constructor(carried: readonly Chore[], confirmed: (order: Digest, took: string) => void, changed: () => void) {
    this.confirmed = confirmed;
    this.changed = changed;
    for (const chore of carried) this.add(chore);
  }

  add(chore: Chore): void {
    if (this.open.some((other) => JSON.stringify(other) === JSON.stringify(chore))) return;
    this.open.push(chore);
    // It may come from a handler, which a cancellation of the workflow would reach.
    void CancellationScope.nonCancellable(() => this.run(chore));
  }

  /** What a new routing document leaves to be done. */
  follow(model: string, { stopped, unnoted }: RoutedPosition): void {
    for (const each of stopped) this.add({ kind: 'stop', stopped: each });
    if (unnoted === undefined) return;
    const { missing, ...what } = unnoted;
    this.add({ kind: 'note route', model, what });
    if (missing === undefined) return;
    this.add({ kind: 'confirm route', model, revision: what.revision, missing });
    this.changed();
  }

  /** Which documents have not reached every gateway, in words. */
  get trouble(): readonly string[] {
    return this.open.flatMap((chore) =>
      chore.kind === 'confirm route' ? [`revision ${chore.revision} is not everywhere: ${chore.missing}`] : [],
    );
  }

  get unfinished(): readonly Chore[] {
    return this.open;
  }

  private async run(chore: Chore): Promise<void> {
    try {
      await this.done(chore);
    } catch (error) {
      // The lifecycle asks by itself, and the gateways route nothing to what should have stopped.
      const failure = failureOf(error);
      if (failure === null) throw error;
      log.error(`an endpoint's chore was refused: ${chore.kind}`, { ...failure });
    }
    this.open = this.open.filter((other) => other !== chore);
    if (chore.kind === 'confirm route') this.changed();
  }

  private async done(chore: Chore): Promise<void> {
    switch (chore.kind) {
      case 'reply':
        return control.replyRollout(chore.replyTo, chore.ended);
      case 'stop': {
        const { model, version, release } = chore.stopped;
        return serving.stopRelease({ model, version }, release);
      }
      case 'confirm': {
        const took = await control.confirmKill(chore.model, chore.order);
        if (took !== null) this.confirmed(chore.order, took);
        return;
      }
      case 'note':
        return control.noteAlerts(chore.model, chore.alerts, chore.outcome);
      case 'note rollback':
        return control.noteRollback(chore.model, chore.order, chore.target, chore.since);
      case 'note verdict':
        return control.noteVerdict(chore.model, chore.judged);
      case 'note route':
        return control.noteRoute(chore.model, chore.what);
      case 'note breach':
        return control.noteBreach(chore.model, chore.breached);
      case 'note rejection':
        return control.noteRejection(chore.request, chore.statement);
      case 'confirm route':
        return control.confirmRoute(chore.model, chore.revision);
    }
  }
}
