import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTimeSkipping } from '../support/temporal.js';
import { STORIES } from './support/lifecycles.js';
import { Stage } from './support/stage.js';
import { tell } from './support/story.js';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.start(startTimeSkipping);
});
afterAll(() => stage?.stop());

test.each(Object.entries(STORIES))('%s', async (_name, story) => {
  const at = Date.now();
  const told = await tell(stage, story, null);
  console.log(Date.now() - at, told.broken, told.effects, told.certificates, new Set(told.attempts.map((a) => a.name)));
  expect(told.broken).toEqual([]);
});
