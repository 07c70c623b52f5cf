import { untilInterrupted } from '../../client/commands/stack.js';
import { fail } from '../../client/output.js';
import { uiAddress } from '../../client/start.js';
import { endpointId } from '../../domain/names.js';
import { Narrator } from './story/narrator.js';
import { tellStory } from './story/tell.js';
import { MODEL, openScene } from './story/scene.js';

// The main job: a real model goes through its whole life, on a real stack.
const narrator = new Narrator();
try {
  narrator.step('The store proves itself WORM, and the stack comes up');
  const scene = await openScene(narrator);
  try {
    await tellStory(scene);
    narrator.say(`\n   the whole life of a model in ${narrator.seconds()} s`);
    if (process.stdout.isTTY) {
      narrator.say(`look around: ${uiAddress(scene.custody, endpointId(MODEL))}`);
      narrator.say('and try `npm run custody -- status digits`. Ctrl-C ends it.');
      await untilInterrupted(scene.stack);
    }
  } finally {
    await scene.close();
  }
} catch (error) {
  fail({ json: false }, error);
}
