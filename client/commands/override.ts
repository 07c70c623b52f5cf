import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { progressOf } from '../../adapters/dossier.js';
import { CustodyError } from '../../domain/errors.js';
import { lifecycleId, parseReleaseName } from '../../domain/names.js';
import type { RiskAssessment } from '../../domain/provisional-predicates.js';
import { parseRiskAssessment } from '../../formats/risk-assessment.js';
import type { Custody } from '../connect.js';
import { send } from '../messages.js';
import { answer, plain, talk } from '../output.js';
import { overrideFailure } from '../requests.js';
import { connected, KEY_OPTION, signerOf, type Session } from '../session.js';
import { printMessage } from './print.js';
import { confirm, describe } from './shown.js';

interface Options {
  readonly lift: string;
  readonly justification: string;
  readonly for?: string;
  readonly key: string;
  readonly yes?: true;
  readonly print?: string;
}

export function overrideCommands(program: Command): void {
  program
    .command('override <release>')
    .description('lift what has failed in the validation of <model>@<version>, for a time; again: renew it')
    .requiredOption('--lift <criteria>', 'exactly what has failed, separated by commas')
    .requiredOption('--justification <text>', 'why it may serve all the same; kept for good')
    .option('--for <time>', 'how long it holds, like 90m, 12h or 7d; by default as long as the policy allows')
    .requiredOption(...KEY_OPTION)
    .option('--yes', 'do not ask')
    .option('--print <file>', 'write the signed override to a file instead of sending it')
    .addHelpText(
      'after',
      "\nExample:\n  custody override digits@1.2.0 --lift 'accuracy/digits>=0.88' --justification 'the set is out of date' --for 7d --key vera",
    )
    .action(connected(override));
}

async function override(
  session: Session & { readonly custody: Custody },
  given: string,
  options: Options,
): Promise<void> {
  const { custody } = session;
  const name = parseReleaseName(given);
  const signer = await signerOf(session, options.key);
  const { overrideGate } = await progressOf(custody.records, name);
  if (overrideGate === undefined)
    throw new CustodyError('INPUT_MISSING', `nobody is asked to override anything of ${name.model} ${name.version}`);
  const request = (await custody.records.get('request', overrideGate.request)).verified;
  const { action, workflowId } = request.predicate;
  if (action.kind !== 'override' || workflowId !== lifecycleId(name))
    throw new CustodyError('DIGEST_MISMATCH', `the request ${request.predicate.requestId} is for something else`);
  const lifts = options.lift.split(',').map((criterion) => criterion.trim());
  if (lifts.length !== action.failed.length || !action.failed.every((failed) => lifts.includes(failed)))
    throw new CustodyError('USAGE', `--lift must name exactly what has failed: ${action.failed.join(',')}`);
  const { override: allowed } = (await custody.records.policies()).byDigest(request.predicate.policy);
  const seconds = options.for === undefined ? (allowed?.holdsSeconds ?? 0) : secondsFrom(options.for);
  for (const line of describe(request)) talk(line);
  talk(`holds for       ${seconds} s`);
  if (options.yes !== true && options.print === undefined) await confirm('lift');
  const envelope = overrideFailure(signer, request, { lifts, justification: options.justification, seconds });
  if (options.print !== undefined) {
    printMessage(session, options.print, { workflowId, name: 'override', envelope });
    return;
  }
  const receipt = await send(custody, workflowId, 'override', envelope);
  answer(session, receipt, [`override: counted as ${receipt.by}`]);
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

function secondsFrom(text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined)
    throw new CustodyError('USAGE', `expected a time like 90m, 12h or 7d, found ${plain(text)}`);
  return Number(amount) * UNITS[unit as keyof typeof UNITS];
}

/** CONFIG_INVALID names the line of what is missing or too short. */
export function readAssessment(file: string): RiskAssessment {
  return parseRiskAssessment(readFileSync(file, 'utf8'), file);
}
