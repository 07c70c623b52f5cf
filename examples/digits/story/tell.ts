import { reviewed } from './code.js';
import { registered } from './data.js';
import { prove, retire } from './end.js';
import { better, first, train, worse } from './release.js';
import type { Scene } from './scene.js';
import { killAndRestore, tamper } from './trouble.js';

/** What may go on beside a step: the tests kill processes here. */
export type Interference = (step: string) => void;

/** The whole life of a model, step by step. */
export async function tellStory(scene: Scene, interfere: Interference = () => undefined): Promise<void> {
  const { stack, narrator } = scene;
  if (stack.shared !== null) narrator.say(`the zones share one user: ${stack.shared}`);
  narrator.say(`Temporal UI: ${stack.description.temporal.ui}`);
  interfere('train');
  const data = await registered(scene);
  const commit = await reviewed(scene);
  const sources = await train(scene, { data, commit });
  interfere('first');
  await first(scene, sources);
  interfere('better');
  await better(scene, sources);
  interfere('worse');
  await worse(scene, sources);
  interfere('tamper');
  await tamper(scene);
  interfere('kill');
  await killAndRestore(scene);
  interfere('retire');
  await retire(scene);
  interfere('prove');
  await prove(scene);
}
