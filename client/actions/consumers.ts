import { StoredConsumers } from '../../adapters/consumers.js';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { gatherInventory, type GatewayView, type Inventory } from '../../adapters/inventory.js';
import { stateOf } from '../../domain/consumers.js';
import { CustodyError } from '../../domain/errors.js';
import {
  dependentsOf,
  makeGraph,
  modelKey,
  releaseKey,
  type InventoryGraph,
  type Reached,
  waysOfDependents,
} from '../../domain/inventory.js';
import { assertModelName } from '../../domain/names.js';
import { graphDot, graphMermaid, graphTree, labelOf, rootsOf } from '../../formats/graph.js';
import { openReading, type Reading } from '../connect.js';
import { daysOf, handIn, lastSaid, saidBy, type DeclareOptions } from '../declaring.js';
import { answer, good, heading, plain, talk } from '../output.js';
import type { ConnectedSession, Session } from '../session.js';
import { signerOf } from '../signer.js';

export async function declare(
  session: ConnectedSession,
  id: string,
  options: DeclareOptions & { readonly key: string },
): Promise<void> {
  const days = daysOf(options);
  const signer = await signerOf(session, options.key);
  const said = saidBy(id, options, await lastSaid(session.custody, id), signer.id);
  const { statement, by } = await handIn(session.custody, signer, said, days);
  answer(session, { ...said, statement, by }, [
    good(plain(`${id} is declared, by ${by}, as a consumer of ${said.models.join(', ')} for ${days} days`)),
    ...(said.identities.length > 0 ? [] : ['no gateway knows it: declare it with --token, --certificate or --subject']),
  ]);
}

export async function remove(session: ConnectedSession, id: string, { key }: { readonly key: string }): Promise<void> {
  const before = await lastSaid(session.custody, id);
  if (before === null || before.models.length === 0)
    throw new CustodyError('INPUT_MISSING', `there is no consumer ${id}`);
  const signer = await signerOf(session, key);
  const said = { ...before, models: [], endpoint: null, identities: [] };
  const { statement, by } = await handIn(session.custody, signer, said, 1);
  answer(session, { consumer: id, statement, by }, [
    good(plain(`${id} is removed, by ${by}: nothing proves it any more`)),
  ]);
}

export async function list(session: Session): Promise<void> {
  const { records } = openReading(session.layout);
  const now = Date.now();
  const rows = (await new StoredConsumers(records).registry())
    .all()
    .map((declared) => ({ ...declared.predicate, state: stateOf(declared, now), statement: declared.digest }));
  answer(
    session,
    rows,
    rows.length === 0
      ? ['nobody has been declared']
      : rows.map(({ consumer, state, criticality, owner, models, expiresAt }) =>
          plain(`${consumer}  ${state}  ${criticality}, of ${owner}, until ${expiresAt}  ${models.join(', ')}`),
        ),
  );
}

export async function show(session: Session, model: string): Promise<void> {
  assertModelName(model);
  const inventory = await gather(openReading(session.layout));
  const reached = waysOfDependents(inventory.graph, rootsFor(inventory, model));
  const consumers = reached.flatMap((each) => rowOf(inventory, model, reached, each));
  const overflow = inventory.seen.find((seen) => seen.model === model)?.overflow.requests ?? 0;
  answer(session, { model, consumers, overflow }, [
    heading(`${consumers.length} depend on ${model}`),
    ...consumers.map((row) => plain(lineOf(row))),
    ...(overflow > 0 ? [`and ${overflow} requests under further names`] : []),
  ]);
}

export async function graph(session: Session, model: string | undefined, options: { format: string }): Promise<void> {
  if (model !== undefined) assertModelName(model);
  const inventory = await gather(openReading(session.layout));
  const roots = model === undefined ? rootsOf(inventory.graph) : rootsFor(inventory, model);
  const part = model === undefined ? inventory.graph : partOf(inventory.graph, roots);
  const drawn: Readonly<Record<string, () => readonly string[]>> = {
    text: () => graphTree(part, roots),
    dot: () => graphDot(part),
    mermaid: () => graphMermaid(part),
  };
  const lines = Object.hasOwn(drawn, options.format) ? drawn[options.format]?.() : undefined;
  if (lines === undefined)
    throw new CustodyError('USAGE', `--format ${options.format}: expected one of ${Object.keys(drawn).join(', ')}`);
  answer(
    session,
    { nodes: [...part.nodes.values()], edges: part.edges },
    lines.length === 0 ? ['nothing is here yet'] : lines.map(plain),
  );
}

async function gather(reading: Reading): Promise<Inventory> {
  const { records, description } = reading;
  return gatherInventory(records, new StoredConsumers(records), await viewsOf(description.gateway));
}

/** What each gateway that answers says. */
async function viewsOf({ admin, others }: Reading['description']['gateway']): Promise<readonly GatewayView[]> {
  const views = await Promise.all(
    [admin, ...others].map(async (address): Promise<GatewayView | null> => {
      const gateway = createGatewayClient(address);
      try {
        return { state: await gateway.state(), callers: await gateway.callers() };
      } catch (error) {
        if (!(error instanceof CustodyError) || error.code !== 'GATEWAY_UNAVAILABLE') throw error;
        talk(plain(`warning: ${error.message}: what it serves, and who calls it, is not known here`));
        return null;
      }
    }),
  );
  return views.filter((view) => view !== null);
}

/** The endpoint of a model, and its releases. */
function rootsFor({ graph, releases }: Inventory, model: string): readonly string[] {
  const own = releases.filter((release) => release.model === model).map(releaseKey);
  const roots = [modelKey(model), ...own].filter((key) => graph.nodes.has(key));
  if (roots.length > 0) return roots;
  throw new CustodyError('INPUT_MISSING', `nothing is known of a model ${model}: no release, no caller, no consumer`);
}

function partOf(graph: InventoryGraph, roots: readonly string[]): InventoryGraph {
  const found = roots.flatMap((key) => graph.nodes.get(key) ?? []);
  return makeGraph([...found, ...dependentsOf(graph, roots)], graph.edges);
}

interface Row {
  readonly id: string;
  readonly state: ReturnType<typeof stateOf> | 'undeclared' | 'unknown' | 'anonymous';
  readonly owner: string | null;
  readonly criticality: string | null;
  readonly expiresAt: string | null;
  /** Through what it depends on the model; `null`: it calls it. */
  readonly through: string | null;
  readonly lastSeen: string | null;
  readonly requests: number;
  readonly perSecond: number;
}

/** A consumer or a caller with what gateways have seen of it, at this model and at those that need it. */
function rowOf(inventory: Inventory, model: string, reached: readonly Reached[], { node, through }: Reached): Row[] {
  if (node.kind !== 'consumer' && node.kind !== 'caller') return [];
  const models = new Set([model, ...reached.flatMap((each) => (each.node.kind === 'model' ? [each.node.model] : []))]);
  const isThis = (kind: string, id: string): boolean =>
    id === node.id && (node.kind === 'caller' ? kind === node.known : kind === 'declared' || kind === 'undeclared');
  const seen = inventory.seen
    .filter((each) => models.has(each.model))
    .flatMap(({ callers }) => callers.filter(({ kind, id }) => isThis(kind, id)));
  const declared = inventory.consumers.find(
    ({ predicate }) => node.kind === 'consumer' && predicate.consumer === node.id,
  );
  const via = inventory.graph.nodes.get(through);
  return [
    {
      id: node.id,
      state: declared !== undefined ? stateOf(declared, Date.now()) : node.kind === 'caller' ? node.known : 'removed',
      owner: declared?.predicate.owner ?? null,
      criticality: declared?.predicate.criticality ?? null,
      expiresAt: declared?.predicate.expiresAt ?? null,
      through: through === modelKey(model) || via === undefined ? null : labelOf(via),
      lastSeen:
        seen
          .map(({ lastSeen }) => lastSeen)
          .sort()
          .at(-1) ?? null,
      requests: seen.reduce((sum, { requests }) => sum + requests, 0),
      perSecond: seen.reduce((sum, { perSecond }) => sum + perSecond, 0),
    },
  ];
}

function lineOf({ id, state, owner, criticality, through, lastSeen, perSecond }: Row): string {
  return [
    (id === '' ? '(no name)' : id).padEnd(24),
    state.padEnd(10),
    (criticality ?? '').padEnd(8),
    (owner ?? '').padEnd(12),
    lastSeen === null ? 'never seen'.padEnd(24) : lastSeen,
    `${perSecond.toFixed(2)}/s`,
    ...(through === null ? [] : [`through ${through}`]),
  ].join('  ');
}
