#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { startTraces } from '../adapters/tracing/traces.js';
import { auditCommands } from './commands/audit.js';
import { certificateCommands } from './commands/certificate.js';
import { consumerCommands } from './commands/consumers.js';
import { codeCommands } from './commands/code.js';
import { dataCommands } from './commands/data.js';
import { decisionCommands } from './commands/decide.js';
import { diffCommands } from './commands/diff.js';
import { doctorCommand } from './commands/doctor.js';
import { endpointCommands } from './commands/endpoint.js';
import { evidenceCommands } from './commands/evidence.js';
import { holdCommands } from './commands/hold.js';
import { keyCommands } from './commands/keys.js';
import { noticeCommands } from './commands/notice.js';
import { packCommand } from './commands/pack.js';
import { promptsCommand } from './commands/prompts.js';
import { overrideCommands } from './commands/override.js';
import { policyCommands } from './commands/policy.js';
import { promoteCommand } from './commands/promote.js';
import { releaseCommands } from './commands/release.js';
import { reconcileCommand } from './commands/reconcile.js';
import { reportCommand } from './commands/report.js';
import { resignCommand } from './commands/resign.js';
import { showCommands } from './commands/show.js';
import { stackCommands } from './commands/stack.js';
import { fail, talk } from './output.js';

const program = new Command('custody')
  .description('Keeps the chain of custody of machine-learning models, from training data to destruction.')
  .option('--state <folder>', 'where the stack keeps its state', process.env['CUSTODY_STATE'])
  .option('--json', 'answer one JSON value on stdout, failures too')
  .showSuggestionAfterError()
  .exitOverride()
  .configureOutput({ writeErr: (text) => process.stderr.write(text) });

stackCommands(program);
packCommand(program);
releaseCommands(program);
diffCommands(program);
showCommands(program);
reportCommand(program);
decisionCommands(program);
overrideCommands(program);
endpointCommands(program);
holdCommands(program);
noticeCommands(program);
certificateCommands(program);
consumerCommands(program);
codeCommands(program);
promptsCommand(program);
dataCommands(program);
policyCommands(program);
resignCommand(program);
promoteCommand(program);
auditCommands(program);
evidenceCommands(program);
keyCommands(program);
doctorCommand(program);
reconcileCommand(program);
for (const command of program.commands) inherit(command);

/** Of a command, without what is said with it. */
function wholeName(command: Command): string {
  return command.parent === null ? command.name() : `${wholeName(command.parent)} ${command.name()}`;
}

function inherit(command: Command): void {
  command.copyInheritedSettings(program);
  for (const nested of command.commands) inherit(nested);
}

// A reader that went away (`custody … | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const traces = await startTraces('custody');
try {
  await traces.span(async (name) => {
    program.hook('preAction', (_, action) => name(wholeName(action)));
    await program.parseAsync();
  });
} catch (error) {
  if (!(error instanceof CommanderError)) fail({ json: process.argv.includes('--json') }, error);
  else if (error.exitCode !== 0) {
    if (process.argv.includes('--json'))
      process.stdout.write(`${JSON.stringify({ error: { code: 'USAGE', message: error.message, details: {} } })}\n`);
    process.exitCode = 2;
  }
}
const undelivered = await traces.stop();
if (undelivered !== null) talk(`the trace was not delivered: ${undelivered}`);
