import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { CustodyError } from '../../domain/errors.js';
import { adviseOnChange } from '../../domain/policy-advice.js';
import { diffPolicies } from '../../domain/policy-diff.js';
import type { Policy } from '../../domain/policy.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { policyDigest, policyJsonSchema, policySigners, readSignedPolicy } from '../../formats/policy.js';
import { keysOfRole } from '../../formats/statements.js';
import { openReading } from '../connect.js';
import { replaceFile } from '../files.js';
import { readSigner } from '../keys.js';
import { leftBehind } from '../left-behind.js';
import { answer, faint, good, heading, plain, talk } from '../output.js';
import { applyPolicy, findPolicy, lintPolicy, readEnvelope, signPolicyFile } from '../policies.js';
import { action, connected, KEY_OPTION, type Session } from '../session.js';

export function policyCommands(program: Command): void {
  const policy = program.command('policy').description('the signed document where everything agreed beforehand stands');
  policy
    .command('lint <file>')
    .description('say everything that is wrong or unwise in a policy.yaml, with line and column')
    .addHelpText('after', '\nExample:\n  custody policy lint policy.yaml')
    .action(
      action(async (session, file: string) => {
        const linted = lintPolicy(file);
        const { version } = linted.policy;
        const digest = policyDigest(linted.policy);
        for (const warning of linted.warnings) talk(`warning: ${plain(warning)}`);
        answer(session, { version, digest, warnings: linted.warnings }, [
          good(`policy ${version} is valid: ${digest}`),
        ]);
      }),
    );

  policy
    .command('sign <file>')
    .description('add your signature to a policy; several root people sign in turn')
    .requiredOption(...KEY_OPTION)
    .option('--out <file>', 'the signed policy; signatures that are in it stay', 'policy.signed.json')
    .addHelpText('after', '\nExample:\n  custody policy sign policy.yaml --key rosa --out policy-2.signed.json')
    .action(
      action(async (session, file: string, { key: given, out }: { key: string; out: string }) => {
        const ours = session.layout.key(given);
        const key = readSigner(!existsSync(given) && existsSync(ours) ? ours : given);
        const { policy: signed, envelope, warnings } = signPolicyFile(file, out, key);
        for (const warning of warnings) talk(`warning: ${plain(warning)}`);
        replaceFile(out, `${JSON.stringify(envelope)}\n`);
        const own = keysOfRole(signed, 'root').find((held) => held.key.keyId === key.keyId)?.owner ?? null;
        if (own === null)
          talk('warning: this key is no root key of this policy: it counts only if it is one of the policy before');
        const facts = {
          version: signed.version,
          digest: policyDigest(signed),
          out,
          signatures: envelope.signatures.length,
        };
        answer(session, { ...facts, signer: own }, [
          `policy ${facts.version}, digest ${facts.digest}`,
          `${facts.signatures} signatures in ${out}; ${signed.rootThreshold} are needed, of this policy's root and of the one before`,
        ]);
      }),
    );

  policy
    .command('apply <signed>')
    .description('put the next policy into force; every process takes it up by itself')
    .addHelpText('after', '\nExample:\n  custody policy apply policy-2.signed.json')
    .action(
      connected(async (session, signed: string) => {
        const envelope = readEnvelope(signed);
        const left = await leftBehind(session.custody, readSignedPolicy(envelope));
        for (const { model, version: of, why } of left)
          talk(plain(`warning: under this policy ${model} ${of} is loaded no more: ${why}`));
        if (left.length > 0)
          talk(
            'warning: `custody resign` mends a lost release signature, all else needs a new approval or the next policy',
          );
        const applied = await applyPolicy(session.custody, envelope);
        const { version, digest, signers, already } = applied;
        answer(session, { ...applied, leftBehind: left }, [
          good(`policy ${version} is in force${already ? ' already' : ''}: ${digest}`),
          `signed by ${signers.join(', ')}`,
        ]);
      }),
    );

  policy
    .command('diff <before> <after>')
    .description('what differs between two policies, and what becomes weaker: versions in force, YAML or signed files')
    .addHelpText('after', '\nExamples:\n  custody policy diff 1 2\n  custody policy diff 2 policy.yaml')
    .action(
      action(async (session, before: string, after: string) => {
        const [from, to] = [await findPolicy(session.layout, before), await findPolicy(session.layout, after)];
        const changes = diffPolicies(from, to);
        const warnings = adviseOnChange(from, to);
        for (const warning of warnings) talk(plain(`warning: ${warning}`));
        const lines = changes.map(({ path, before: was, after: is, weakens }) =>
          plain(`${weakens ? '! weaker ' : '         '}${path}: ${change(was, is)}`),
        );
        answer(session, { changes, warnings }, changes.length === 0 ? ['no difference'] : lines);
      }),
    );

  policy
    .command('show [version]')
    .description('the policy in force, or an earlier one, once the whole chain has been verified')
    .addHelpText('after', '\nExample:\n  custody policy show 1 --json')
    .action(action((session, version?: string) => show(session, version)));

  policy
    .command('schema')
    .description('the JSON Schema of policy.yaml, for editors')
    .action(
      action(async (session) => answer(session, policyJsonSchema(), [JSON.stringify(policyJsonSchema(), null, 2)])),
    );
}

function change(was: string | null, is: string | null): string {
  if (was === null) return `gains ${is ?? ''}`;
  return is === null ? `loses ${was}` : `${was} → ${is}`;
}

async function show(session: Session, given?: string): Promise<void> {
  const { chain, envelopes } = await openReading(session.layout).records.policies();
  const version = given === undefined ? chain.length : Number(given);
  const [policy, envelope] = [chain[version - 1], envelopes[version - 1]];
  if (policy === undefined || envelope === undefined)
    throw new CustodyError('INPUT_MISSING', `there is no policy ${given ?? ''}: the newest is ${chain.length}`);
  const facts = {
    version,
    newest: chain.length,
    digest: policyDigest(policy),
    statement: envelopeDigest(envelope),
    signers: policySigners(policy, envelope),
    expires: policy.expires,
  };
  answer(session, { ...facts, policy }, [
    heading(`policy ${version} of ${policy.environment}${version === chain.length ? ', in force' : ''}`),
    `digest     ${facts.digest}`,
    `signed by  ${plain(facts.signers.join(', '))}, ${policy.rootThreshold} needed`,
    `expires    ${policy.expires}`,
    ...authoritiesOf(policy),
    faint(`verified: ${chain.length} policies from the pinned root`),
  ]);
}

function authoritiesOf({ authorities }: Policy): string[] {
  return authorities.map(({ id, kind, roles, keys }) =>
    plain(`${id.padEnd(20)} ${kind.padEnd(8)} ${roles.join(', ')}  (${keys.length} keys)`),
  );
}
