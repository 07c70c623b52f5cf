import type { Command } from 'commander';
import { CustodyError } from '../../domain/errors.js';
import { assertModelName } from '../../domain/names.js';
import { isIsoTime, isoTime } from '../../domain/time.js';
import { ask, verifyWholeLog } from '../audit.js';
import { answer, good, heading, plain } from '../output.js';
import { askAuditor } from '../requests.js';
import { connected, KEY_OPTION, signerOf } from '../session.js';

export function auditCommands(program: Command): void {
  const audit = program.command('audit').description('read the audit log: for auditors, and every attempt is in it');
  audit
    .command('verify')
    .description('check the whole log against the key that signs it')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit verify --key ada')
    .action(
      connected(async (session, options: { key: string }) => {
        const signer = await signerOf(session, options.key);
        const found = await ask(session.custody, askAuditor(signer, { question: 'log' }));
        const log = await verifyWholeLog(session.custody, found);
        const { size, root } = log;
        answer(session, { size, root }, [good(`the log holds: ${size} records, root ${root}`)]);
      }),
    );
  audit
    .command('list')
    .description('the records of the log, after it was verified')
    .option('--model <name>', 'only of this model')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody audit list --model digits --key ada')
    .action(
      connected(async (session, options: { key: string; model?: string }) => {
        const signer = await signerOf(session, options.key);
        const found = await ask(session.custody, askAuditor(signer, { question: 'log' }));
        const { records } = await verifyWholeLog(session.custody, found);
        const wanted = records.filter(({ subject }) => options.model === undefined || subject.model === options.model);
        answer(
          session,
          wanted,
          wanted.map(({ time, change, actor, subject, reason }) =>
            plain(
              `${time}  ${change.padEnd(18)} ${actor.id.padEnd(10)} ${subject.model} ${subject.version ?? ''}  ${reason}`,
            ),
          ),
        );
      }),
    );

  program
    .command('state <model>')
    .description('what an endpoint was at a time, by the audit log alone')
    .option('--at <time>', 'like 2026-01-31T12:00:00.000Z; by default now')
    .requiredOption(...KEY_OPTION)
    .addHelpText('after', '\nExample:\n  custody state digits --at 2026-11-24T12:00:00.000Z --key ada')
    .action(
      connected(async (session, model: string, options: { at?: string; key: string }) => {
        assertModelName(model);
        const at = options.at ?? isoTime(Date.now());
        if (!isIsoTime(at)) throw new CustodyError('USAGE', `${at} is not a time like 2026-01-31T12:00:00.000Z`);
        const signer = await signerOf(session, options.key);
        const found = await ask(session.custody, askAuditor(signer, { question: 'state', model, at }));
        if (found.question !== 'state') throw new CustodyError('INTERNAL', 'the desk answered another question');
        const { state, route } = found;
        answer(session, found, [
          heading(`${model} at ${at}${state.killed ? ': killed' : ''}`),
          ...(route?.releases ?? []).map(
            ({ version, weight, release }) => `${String(weight).padStart(4)} %  ${version}  ${release.slice(0, 12)}`,
          ),
          ...state.releases.map(({ version, lastChange }) => `${version}: ${lastChange}`),
        ]);
      }),
    );
}
