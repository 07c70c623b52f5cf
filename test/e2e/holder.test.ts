import { onTestFinished, test } from 'vitest';
import { Terminal } from './support/terminal.js';

function terminal(): Terminal {
  const stack = new Terminal();
  onTestFinished(() => stack.leave());
  return stack;
}

test('who holds the processes may be killed: all of them end, and the next `custody dev` goes on where they were', async () => {
  const stack = terminal();
  await stack.dev();
  await stack.cli('release', stack.release(), '--bundle', `${stack.release()}.sig.json`, '--key', 'ci');
  const { gate } = await stack.reaches(({ gate }) => gate !== null);
  await stack.dies();

  await stack.dev();
  await stack.cli('approve', gate?.requestId ?? '', '--key', 'alice', '--yes');
  stack.callers();
  await stack.reaches(({ stage }) => stage === 'in service');
  await stack.serves();
  await stack.dies();

  await stack.dev();
  await stack.serves();
  await stack.interrupts(0);
});

test('who holds the processes may stop them by Ctrl-C at any moment: exit code 130, nothing is left running, and the next start works', async () => {
  const stack = terminal();
  for (const moment of [
    'made development keys',
    'the store proved itself WORM',
    '1.0.0 was trained',
    'alice approves',
  ]) {
    stack.story();
    await stack.says(moment);
    await stack.interrupts(130);
  }
  stack.story();
  await stack.says('signed, loaded, serving every caller');
  await stack.interrupts(130);

  await stack.dev();
  await stack.serves();
  await stack.interrupts(0);
});
