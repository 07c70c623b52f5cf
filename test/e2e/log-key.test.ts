import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditRecord } from '../../domain/audit.js';
import { generateKey, importPrivateKey } from '../../formats/keys.js';
import { encodeVerifierKey } from '../../formats/signed-note.js';
import { Bench, run, type Ended } from './harness.js';
import { compiled } from './support/product.js';

let bench: Bench;
/** What somebody knows who has not been told of the new key. */
let before: { readonly vkey: string; readonly state: string };
let exported: string;
let proof: string;

const custody = (state: string, ...args: readonly string[]): Promise<Ended> =>
  run(process.execPath, [compiled('bundled/programs/custody.js'), '--json', '--state', state, ...args], {});

async function done(ended: Promise<Ended>): Promise<unknown> {
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout === '' ? null : JSON.parse(stdout);
}

const ada = (): string => bench.stack.layout.key('ada');
const inLog = async (): Promise<readonly AuditRecord[]> => bench.log();

beforeAll(async () => {
  bench = await Bench.start();
  exported = join(bench.folder, 'log');
  await done(bench.cli('audit', 'export', exported, '--key', 'ada', '--json'));
  proof = join(bench.folder, '0.tlog-proof');
  writeFileSync(proof, (await bench.cli('audit', 'prove', '0', '--key', 'ada')).stdout);

  const state = join(bench.folder, 'elsewhere');
  mkdirSync(state);
  writeFileSync(join(state, 'stack.json'), readFileSync(bench.stack.layout.description));
  writeFileSync(join(state, 'root.json'), readFileSync(bench.stack.layout.root));
  before = { vkey: bench.custody.description.audit.vkey, state };

  await done(bench.cli('audit', 'rotate', '--json'));
  bench = await bench.again();
});
afterAll(() => bench?.stop());

describe('a new key for the audit log', () => {
  test('is handed the log over by the one before when the stack starts, and that is gone then', async () => {
    const { vkey } = bench.custody.description.audit;
    const [now = '', ...earlier] = vkey.split('\n');
    expect(now).not.toBe(before.vkey);
    expect(earlier).toEqual([expect.stringMatching(/ until \d+$/)]);
    expect(earlier[0]?.startsWith(before.vkey)).toBe(true);

    const rotated = (await inLog()).filter(({ change }) => change === 'log.rotated');
    expect(rotated).toMatchObject([{ actor: { id: 'control' } }]);
    expect(rotated[0]?.reason).toContain(before.vkey);
    expect(rotated[0]?.reason).toContain(now);

    const keys = readdirSync(bench.stack.layout.path('keys'));
    expect(keys).toContain('audit-log.pem');
    expect(keys).not.toContain('audit-log.previous.pem');
  });

  test('leaves what the one before has signed provable, with both', async () => {
    const keys = join(bench.folder, 'log.vkey');
    writeFileSync(keys, (await bench.cli('audit', 'keys')).stdout);
    for (const logKey of [keys, before.vkey])
      await done(custody(before.state, 'audit', 'verify', '--proof', proof, '--log-key', logKey));
    await done(custody(before.state, 'audit', 'verify', '--from', exported, '--log-key', keys));
    // The export goes on where it ended, under the new key.
    await done(bench.cli('audit', 'export', exported, '--key', 'ada', '--json'));
    await done(custody(before.state, 'audit', 'verify', '--from', exported, '--log-key', keys));
    const old = await custody(before.state, 'audit', 'verify', '--from', exported, '--log-key', before.vkey);
    expect(old.code).toBe(6);
    expect(old.stdout).toContain('a key that is not known here');
  });

  test('is refused by whoever knows the old one alone, until its hand-over is shown', async () => {
    const verify = () => custody(before.state, 'audit', 'verify', '--key', ada());
    const refused = await verify();
    expect(refused.code).toBe(6);
    expect(refused.stdout).toContain('a key that is not known here');
    const { vkey } = (await done(custody(before.state, 'audit', 'keys'))) as { vkey: string };
    expect(vkey).toBe(bench.custody.description.audit.vkey);
    await done(verify());
  });

  test('attack: a hand-over that the known key has not signed teaches nothing', async () => {
    const state = join(bench.folder, 'of-another-log');
    mkdirSync(state);
    const description = JSON.parse(readFileSync(bench.stack.layout.description, 'utf8')) as object;
    const stranger = encodeVerifierKey('custody.local/dev', importPrivateKey(generateKey('ed25519').privatePem));
    const other = { ...description, audit: { vkey: stranger } };
    writeFileSync(join(state, 'stack.json'), JSON.stringify(other));
    const told = await custody(state, 'audit', 'keys');
    expect(told).toMatchObject({ code: 6 });
    expect(told.stdout).toContain('LOG_INVALID');
    expect(existsSync(join(state, 'log.vkey'))).toBe(false);
  });
});
