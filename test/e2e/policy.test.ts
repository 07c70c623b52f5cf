import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { endpointStatus, lifecycleStatus, outcomeOf } from '../../client/messages.js';
import { replaceFile } from '../../client/files.js';
import type { Policy } from '../../domain/policy.js';
import { isoTime } from '../../domain/time.js';
import { generateKey } from '../../formats/keys.js';
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
  for (const key of who)
    expect(await bench.cli('policy', 'sign', yaml, '--key', key, '--out', out)).toMatchObject({ code: 0 });
  return out;
}

async function apply(edit: (policy: Policy) => Policy): Promise<number> {
  const applied = await bench.cli('--json', 'policy', 'apply', await signed(edit, 'rosa'));
  expect(applied, applied.stderr).toMatchObject({ code: 0 });
  return (JSON.parse(applied.stdout) as { version: number }).version;
}

/** The release signer's keys become these. */
const withSigners =
  (...pems: readonly string[]) =>
  (policy: Policy): Policy => ({
    ...policy,
    authorities: policy.authorities.map((held) =>
      held.id === 'release-signer' ? { ...held, keys: pems.map((pem) => ({ pem })) } : held,
    ),
  });

/** The signing zone starts again with another key. */
async function changeSigningKey(privatePem: string): Promise<void> {
  const path = join(bench.state, 'zones', 'signing', 'release-signer.pem');
  const owner = process.getuid?.() === 0 ? statSync(path).uid : null;
  replaceFile(path, privatePem, { mode: 0o400, owner });
  await restart('signing');
}

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

describe('an expired policy', () => {
  test('stops what raises exposure, but neither a kill nor the next policy', async () => {
    const soon = isoTime(Date.now() + 30_000);
    await apply((p) => ({ ...p, expires: soon }));
    await until('the policy to expire', 90, () => Promise.resolve(Date.now() > Date.parse(soon) ? true : null));
    await bench.start(await bench.source('1.0.3'));
    const outcome = await outcomeOf(bench.custody, { model: MODEL, version: '1.0.3' });
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
