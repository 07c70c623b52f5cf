import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { endpointStatus, lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { replaceFile } from '../../client/files.js';
import type { AuthorityKey, Policy } from '../../domain/policy.js';
import { isoTime } from '../../domain/time.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { policyDigest } from '../../formats/policy.js';
import { sha256 } from '../../formats/sha256.js';
import { Bench, FIRST, MODEL, type Ended } from './harness.js';
import { until } from './support/until.js';

/** The policy of a running stack, changed as people change it; each test goes on where the one before has ended. */
let bench: Bench;

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
});

afterAll(() => bench.stop());

const policies = () => bench.custody.records.policies();
const file = (name: string): string => join(bench.folder, name);
const codeOf = ({ stdout }: Ended): string => (JSON.parse(stdout) as { error: { code: string } }).error.code;

/** The newest policy, changed, in a file and signed by these. */
async function signed(edit: (policy: Policy) => Policy, ...who: readonly string[]): Promise<string> {
  const { newest } = await policies();
  const next = edit({ ...newest, version: newest.version + 1 });
  const yaml = file(`policy-${sha256(JSON.stringify(next)).slice(0, 8)}.yaml`);
  writeFileSync(yaml, stringify(next));
  const out = yaml.replace('.yaml', '.signed.json');
  rmSync(out, { force: true });
  for (const key of who)
    expect(await bench.cli('policy', 'sign', yaml, '--key', key, '--out', out)).toMatchObject({ code: 0 });
  return out;
}

/** Who signs policies. */
let root = 'rosa';

async function apply(edit: (policy: Policy) => Policy): Promise<number> {
  const applied = await bench.cli('--json', 'policy', 'apply', await signed(edit, root));
  expect(applied, applied.stderr).toMatchObject({ code: 0 });
  return (JSON.parse(applied.stdout) as { version: number }).version;
}

type Keys = readonly AuthorityKey[];

/** The policy with other keys for somebody. */
const withKeys =
  (id: string, change: (keys: Keys) => Keys) =>
  (policy: Policy): Policy => ({
    ...policy,
    authorities: policy.authorities.map((held) => (held.id === id ? { ...held, keys: change(held.keys) } : held)),
  });
const withSigners = (...pems: readonly string[]) => withKeys('release-signer', () => pems.map((pem) => ({ pem })));

/** A zone starts again with another key. */
async function changeKey(zone: string, id: string, privatePem: string): Promise<void> {
  const path = join(bench.state, 'zones', zone, `${id}.pem`);
  const owner = process.getuid?.() === 0 ? statSync(path).uid : null;
  replaceFile(path, privatePem, { mode: 0o400, owner });
  await restart(zone);
}
const changeSigningKey = (privatePem: string): Promise<void> => changeKey('signing', 'release-signer', privatePem);

async function restart(name: string): Promise<void> {
  const before = bench.stack.supervisor.pids()[name];
  bench.signalProcess(name, 'SIGKILL');
  await until(`${name} to come back`, 60, () => {
    const pid = bench.stack.supervisor.pids()[name];
    return Promise.resolve(pid !== undefined && pid !== before ? true : null);
  });
}

describe('a policy is changed', () => {
  test('by sign and apply, and every process takes it up without a restart', async () => {
    const before = (await policies()).newestDigest;
    const pids = bench.stack.supervisor.pids();
    expect(await apply((p) => ({ ...p, rollback: { warmReleases: 1 } }))).toBe(2);
    const { newestDigest } = await policies();
    const shown = await bench.cli('--json', 'policy', 'show');
    expect(JSON.parse(shown.stdout)).toMatchObject({ version: 2, digest: newestDigest, signers: ['rosa'] });
    const gateway = createGatewayClient(bench.custody.description.gateway.admin);
    expect((await gateway.state()).policyVersion).toBe(2);
    const records = await bench.log();
    expect(records.find(({ change, after }) => change === 'policy.applied' && after === newestDigest)).toMatchObject({
      before,
      actor: { id: 'rosa' },
    });
    // Intake, signing, vault, serving and the gateway each act under it.
    await bench.start(await bench.source('1.0.1'));
    const waiting = await bench.openGate('1.0.1');
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting))).toBe('accepted');
    await bench.reached('1.0.1', 'in service');
    expect(bench.stack.supervisor.pids()).toEqual(pids);
    const diff = await bench.cli('policy', 'diff', '1', '2');
    expect(diff.stdout).toContain('! weaker rollback.warmReleases: 2 → 1');
  });

  test('by the plain Temporal CLI', async () => {
    const out = await signed((p) => ({ ...p, rollback: { warmReleases: 2 } }), 'rosa');
    const { address, namespace } = bench.custody.description.temporal;
    const line = `temporal workflow start --type policy --task-queue control --workflow-id policy/3 --input-file ${out} --address ${address} --namespace ${namespace}`;
    expect(await bench.shell(line)).toMatchObject({ code: 0 });
    expect(await bench.custody.temporal.workflow.getHandle('policy/3').result()).toMatchObject({ kind: 'applied' });
    expect((await policies()).newest.version).toBe(3);
  });

  test('attack: what no root key has signed is refused, audited, and changes nothing', async () => {
    const before = await policies();
    const forged = await signed((p) => ({ ...p, rootThreshold: 1, expires: isoTime(Date.now() + 1e9) }), 'alice');
    const refused = await bench.cli('--json', 'policy', 'apply', forged);
    expect([refused.code, codeOf(refused)]).toEqual([3, 'SIGNATURE_INVALID']);
    expect(await bench.refusalOf(JSON.parse(readFileSync(forged, 'utf8')))).toMatchObject({
      change: 'message.refused',
    });
    const skipped = await bench.cli(
      '--json',
      'policy',
      'apply',
      await signed((p) => ({ ...p, version: p.version + 1 }), 'rosa'),
    );
    expect([skipped.code, codeOf(skipped)]).toEqual([3, 'POLICY_REFUSED']);
    expect((await policies()).newestDigest).toBe(before.newestDigest);
  });
});

describe('the release key is changed', () => {
  const [second, third] = [generateKey('ecdsa-p256'), generateKey('ecdsa-p384')];
  const verify = (): Promise<Ended> => bench.cli('--json', 'verify', MODEL, '1.0.1');

  test('without resign, what the old key has signed is not loaded any more; resign brings it back', async () => {
    const held = (await policies()).newest.authorities.find(({ id }) => id === 'release-signer')?.keys[0];
    const old = held !== undefined && 'pem' in held ? held.pem : '';
    await apply(withSigners(old, second.publicPem));
    await changeSigningKey(second.privatePem);
    await apply(withSigners(second.publicPem));
    expect(codeOf(await verify())).toBe('SIGNATURE_INVALID');
    await restart('serving');
    await bench.answers({ status: 503 });
    const done = await bench.cli('--json', 'resign', `${MODEL}@1.0.1`, '--key', 'oscar');
    expect(done, done.stderr).toMatchObject({ code: 0 });
    await bench.answers({ status: 200, version: '1.0.1' });
  });

  test('with resign before, a serving host that starts again loads it', async () => {
    await apply(withSigners(second.publicPem, third.publicPem));
    await changeSigningKey(third.privatePem);
    const done = await bench.cli('--json', 'resign', '--all', '--key', 'oscar');
    expect(done, done.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(done.stdout)).toMatchObject([
      { version: '1.0.0', already: false },
      { version: '1.0.1', already: false },
    ]);
    const again = await bench.cli('--json', 'resign', `${MODEL}@1.0.1`, '--key', 'oscar');
    expect(JSON.parse(again.stdout)).toMatchObject([{ already: true }]);
    await apply(withSigners(third.publicPem));
    expect(await verify()).toMatchObject({ code: 0 });
    await restart('serving');
    await bench.answers({ status: 200, version: '1.0.1' });
    const records = await bench.log();
    expect(records.filter(({ change }) => change === 'release.resigned')).toHaveLength(4);
  });

  test('attack: nobody without the role gets a signature, and nothing that was not approved gets one', async () => {
    const asked = await bench.cli('--json', 'resign', `${MODEL}@1.0.0`, '--key', 'alice');
    expect([asked.code, codeOf(asked)]).toEqual([4, 'NOT_AUTHORISED']);
    await bench.start(await bench.source('1.0.2'));
    await bench.openGate('1.0.2');
    const early = await bench.cli('--json', 'resign', `${MODEL}@1.0.2`, '--key', 'oscar');
    expect([early.code, codeOf(early)]).toEqual([3, 'UNSIGNED']);
  });
});

const all =
  (...edits: readonly ((policy: Policy) => Policy)[]) =>
  (policy: Policy): Policy =>
    edits.reduce((edited, edit) => edit(edited), policy);
/** Keys that count no more from now on, but for this one. */
const ended =
  (validUntil: string, but: string) =>
  (keys: Keys): Keys =>
    keys.map((key) => ('pem' in key && key.pem === but ? key : { ...key, validUntil }));

describe('the keys of people and processes are changed', () => {
  test("a person's: the old one approves nothing any more, the new one does", async () => {
    const made = await bench.cli('keygen', '--out', file('alice.pem'));
    expect(made.code, made.stderr).toBe(0);
    const { pem } = importPrivateKey(readFileSync(file('alice.pem'), 'utf8'));
    await bench.start(await bench.source('1.0.3'));
    const { gate } = await bench.openGate('1.0.3');
    await apply(withKeys('alice', (keys) => [...ended(isoTime(Date.now()), pem)(keys), { pem }]));
    const old = await bench.cli('--json', 'approve', gate.requestId, '--key', 'alice', '--yes');
    expect([old.code, codeOf(old)]).toEqual([3, 'SIGNATURE_INVALID']);
    const taken = await bench.cli('approve', gate.requestId, '--key', file('alice.pem'), '--yes');
    expect(taken.code, taken.stderr).toBe(0);
    await bench.reached('1.0.3', 'in service');
  });

  test('those of processes: each starts again with its new one, and what the old ones have signed still counts', async () => {
    const fresh = { control: generateKey('ed25519'), intake: generateKey('ed25519'), serving: generateKey('ed25519') };
    const each = Object.entries(fresh);
    await apply(all(...each.map(([id, { publicPem: pem }]) => withKeys(id, (keys) => [...keys, { pem }]))));
    for (const [id, { privatePem }] of each) await changeKey(id, id, privatePem);
    await bench.answers({ status: 200, version: '1.0.3' });
    const now = isoTime(Date.now());
    await apply(all(...each.map(([id, { publicPem }]) => withKeys(id, ended(now, publicPem)))));
    // Admitted and routed by control, tested by intake, served by serving: each with its new key.
    await bench.start(await bench.source('1.0.4'));
    const waiting = await bench.openGate('1.0.4');
    expect(await bench.tell(waiting.workflowId, 'approve', await bench.decision('bob', waiting))).toBe('accepted');
    await bench.reached('1.0.4', 'in service');
    expect(await bench.cli('verify', MODEL, '1.0.3')).toMatchObject({ code: 0 });
    await restart('serving');
    await bench.answers({ status: 200, version: '1.0.4' });
  });

  test('those of root: a threshold of the old and of the new must sign, and from then on only the new', async () => {
    const next = generateKey('ed25519');
    writeFileSync(file('root.pem'), next.privatePem, { mode: 0o600 });
    const handOver = withKeys('rosa', () => [{ pem: next.publicPem }]);
    const { newest } = await policies();
    for (const who of ['rosa', file('root.pem')]) {
      const alone = await bench.cli('--json', 'policy', 'apply', await signed(handOver, who));
      expect(alone.code, who).toBe(3);
    }
    const both = await signed(handOver, 'rosa', file('root.pem'));
    expect(await bench.cli('policy', 'apply', both)).toMatchObject({ code: 0 });
    const raised = (policy: Policy): Policy => ({ ...policy, rollback: { warmReleases: 3 } });
    const old = await bench.cli('--json', 'policy', 'apply', await signed(raised, 'rosa'));
    expect([old.code, codeOf(old)]).toEqual([3, 'SIGNATURE_INVALID']);
    expect(await bench.cli('policy', 'apply', await signed(raised, file('root.pem')))).toMatchObject({ code: 0 });
    expect((await policies()).newest.version).toBe(newest.version + 2);
    root = file('root.pem');
  });
});

describe('an expired policy', () => {
  test('stops what raises exposure, but neither a kill nor the next policy', async () => {
    const soon = isoTime(Date.now() + 30_000);
    await apply((p) => ({ ...p, expires: soon }));
    await until('the policy to expire', 180, () => Promise.resolve(Date.now() > Date.parse(soon) ? true : null));
    await bench.start(await bench.source('1.0.5'));
    const outcome = await outcomeOf(bench.custody, { model: MODEL, version: '1.0.5' });
    expect(outcome).toMatchObject({ kind: 'rejected', code: 'POLICY_EXPIRED' });
    expect(await bench.call()).toMatchObject({ status: 200 });

    expect(await bench.cli('kill', MODEL, '--reason', 'drill', '--key', 'oscar')).toMatchObject({ code: 0 });
    expect(await bench.call()).toMatchObject({ status: 503 });
    const restore = await bench.cli('--json', 'restore', MODEL, '--key', 'otto');
    expect(codeOf(restore)).toBe('POLICY_EXPIRED');
    expect((await endpointStatus(bench.custody, MODEL)).killedBy).toHaveLength(1);

    await apply((p) => ({ ...p, expires: isoTime(Date.now() + 365 * 86_400_000) }));
    await bench.restore();
  });
});

test('nothing of this has touched the first release, and each version stays what it was', async () => {
  expect((await lifecycleStatus(bench.custody, FIRST)).stage).toBe('in service');
  const { chain } = await policies();
  const keys = await bench.keys('policies/');
  expect(keys).toHaveLength(chain.length);
  expect(chain.map(({ version }) => version)).toEqual(keys.map((_, at) => at + 1));
  expect(new Set(chain.map(policyDigest)).size).toBe(chain.length);
});
