import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as NarratorModule from '../../../examples/digits/story/narrator.js';
import type * as SceneModule from '../../../examples/digits/story/scene.js';
import type * as Tell from '../../../examples/digits/story/tell.js';
import type { LoadReport } from '../../../examples/digits/load.js';
import { isAlive, processesOf } from './processes.js';
import { load } from './product.js';
import { project, readLog, type Projection } from './projection.js';
import { Secrets } from './secrets.js';

const { openScene, MODEL } = await load<typeof SceneModule>('examples/digits/story/scene.js');
const { tellStory } = await load<typeof Tell>('examples/digits/story/tell.js');
const { Narrator } = await load<typeof NarratorModule>('examples/digits/story/narrator.js');
export { MODEL };

export interface Told {
  readonly lines: readonly string[];
  readonly projection: Projection;
  readonly load: LoadReport;
  readonly refusedLoads: number;
  /** Process ids that were ever started by the supervisor and still live, and whatever else works on the state folder. */
  readonly left: readonly string[];
  /** How many secrets there were, and which lay where they do not belong. */
  readonly secrets: { readonly known: number; readonly leaked: readonly string[] };
}

/** A folder that the zones' own users may enter. */
export function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'custody-e2e-'));
  chmodSync(folder, 0o711);
  return folder;
}

export function dropState(folder: string): void {
  // A story that begins anew keeps the last one beside it.
  for (const path of [folder, `${folder}-last`]) rmSync(path, { recursive: true, force: true });
}

class Scribe extends Narrator {
  readonly lines: string[] = [];
  protected override write(line: string): void {
    this.lines.push(line);
    if (process.env['CUSTODY_DEBUG'] !== undefined) process.stderr.write(`${line}\n`);
  }
}

/** Tells the whole story on a stack of its own; `beside` is called as it opens, and answers what goes on at each step. */
export async function tell(
  beside: (scene: SceneModule.Scene) => Tell.Interference = () => () => undefined,
): Promise<Told> {
  const state = stateFolder();
  const narrator = new Scribe();
  const scene = await openScene(narrator, state);
  const pids = new Set(Object.values(scene.stack.supervisor.pids()));
  scene.stack.supervisor.on('restarted', (_, pid) => pids.add(pid));
  const secrets = new Secrets(state);
  let closed = false;
  try {
    const interfere = beside(scene);
    await tellStory(scene, (step) => {
      secrets.take();
      interfere(step);
    });
    const projection = await project(scene);
    const refusedLoads = (await readLog(scene)).filter(({ change }) => change === 'load.refused').length;
    const report = scene.load.report();
    await scene.close();
    closed = true;
    const left = [...[...pids].filter(isAlive).map(String), ...processesOf(state)];
    const said = { known: secrets.names.length, leaked: secrets.leaks() };
    return { lines: narrator.lines, projection, load: report, refusedLoads, left, secrets: said };
  } catch (error) {
    throw new Error(`the story failed after:\n${narrator.lines.slice(-12).join('\n')}\n${logs(state)}`, {
      cause: error,
    });
  } finally {
    if (!closed) await scene.close();
    dropState(state);
  }
}

/** What the processes complained about last. */
function logs(state: string): string {
  const names = ['control', 'intake', 'signing', 'serving', 'training', 'watch', 'vault', 'gateway'];
  return names
    .map((name) => `--- ${name}\n${readFileSync(join(state, 'logs', `${name}.log`), 'utf8').slice(-1500)}`)
    .join('\n');
}
