import { interruption, unlessAborted, whenAborted } from '../../client/interruption.js';
import { fail } from '../../client/output.js';
import { uiAddress } from '../../client/start.js';
import { endpointId } from '../../domain/names.js';
import { Narrator } from './story/narrator.js';
import { Layout } from '../../client/stack/layout.js';
import { beginAnew } from './story/fresh.js';
import { tellStory } from './story/tell.js';
import { MODEL, openScene } from './story/scene.js';

// The main job: a real model goes through its whole life, on a real stack.
const signal = interruption();
const narrator = new Narrator();
try {
  const { keptAt } = beginAnew(new Layout());
  if (keptAt !== null) narrator.say(`the state of the last story is kept in ${keptAt}`);
  narrator.step('The store proves itself WORM, and the stack comes up');
  const scene = await openScene(narrator, undefined, signal);
  try {
    await unlessAborted(signal, tellStory(scene));
    narrator.say(`\n   the whole life of a model in ${narrator.seconds()} s`);
    if (process.stdout.isTTY) {
      narrator.say(`look around: ${uiAddress(scene.custody, endpointId(MODEL))}`);
      narrator.say('and try `npm run custody -- status digits`. Ctrl-C ends it.');
      await whenAborted(signal);
    }
  } finally {
    narrator.last('stopping …');
    await scene.close();
  }
} catch (error) {
  fail({ json: false }, error);
}
// A step that was interrupted may still wait for what will not come any more.
process.exit();
