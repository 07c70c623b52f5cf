import { leadsNowhere } from '../domain/errors.js';
import { isModelName, lifecycleId, type ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { progressOf } from './dossier.js';
import { inParts } from './in-parts.js';
import type { Records } from './records.js';
import { releasesWith } from './release-facts.js';

/** What is to run by what the store says, whatever Temporal knows of it. */
export interface UnderWay {
  /** Lifecycles that were admitted and have not ended, with the request for each: all else they read from their records. */
  readonly lifecycles: readonly { readonly name: ReleaseName; readonly request: SignedEnvelope }[];
  readonly ended: number;
  /** Models that have an endpoint: something was routed, or stopped. */
  readonly models: readonly string[];
  /** Records that lead to no request: somebody has put them there. */
  readonly odd: readonly { readonly id: string; readonly why: string }[];
}

type Read =
  | { readonly kind: 'ended' }
  | ({ readonly kind: 'under way' } & UnderWay['lifecycles'][number])
  | ({ readonly kind: 'odd' } & UnderWay['odd'][number]);

export async function readUnderWay(records: Records): Promise<UnderWay> {
  const names: ReleaseName[] = [];
  for await (const name of releasesWith(records, 'admission')) names.push(name);
  const read = await inParts(names, (name) => readOne(records, name));
  return {
    lifecycles: read.flatMap((each) => (each.kind === 'under way' ? [each] : [])),
    ended: read.filter(({ kind }) => kind === 'ended').length,
    models: await routedModels(records),
    odd: read.flatMap((each) => (each.kind === 'odd' ? [each] : [])),
  };
}

async function readOne(records: Records, name: ReleaseName): Promise<Read> {
  try {
    const { admission, outcome } = await progressOf(records, name);
    if (outcome !== undefined) return { kind: 'ended' };
    const { envelope, verified } = await records.get('request', admission?.request ?? '');
    const { action, model, version } = verified.predicate;
    if (action.kind === 'release' && model === name.model && version === name.version)
      return { kind: 'under way', name, request: envelope };
    return { kind: 'odd', id: lifecycleId(name), why: `its request is to ${action.kind} ${model} ${version ?? ''}` };
  } catch (error) {
    if (!leadsNowhere(error)) throw error;
    return { kind: 'odd', id: lifecycleId(name), why: `${error.code}: ${error.message}` };
  }
}

async function routedModels({ bucket }: Records): Promise<readonly string[]> {
  const models = new Set<string>();
  for (const prefix of ['routes/', 'kills/'])
    for await (const key of bucket.list(prefix)) {
      const model = key.slice(prefix.length).split('/')[0] ?? '';
      if (isModelName(model)) models.add(model);
    }
  return [...models].sort();
}
