import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, MODEL, run, type Ended } from './harness.js';
import { compiled } from './support/product.js';

let bench: Bench;
/** A place that has nothing of the stack but a copy of the dossier and the public keys. */
let elsewhere: string;

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  elsewhere = mkdtempSync(join(tmpdir(), 'custody-elsewhere-'));
});
afterAll(async () => {
  await bench.stop();
  rmSync(elsewhere, { recursive: true, force: true });
});

/** As somebody on another machine, who has never had a stack. */
function there(...args: readonly string[]): Promise<Ended> {
  const program = compiled('bundled/programs/custody.js');
  return run(process.execPath, [program, '--state', join(elsewhere, 'none'), '--json', ...args], { HOME: elsewhere });
}

describe('custody evidence', () => {
  test('makes a dossier that is verified elsewhere, with the public keys alone', async () => {
    const made = join(bench.folder, 'made');
    const ended = await bench.cli('evidence', `${MODEL}@1.0.0`, '--key', 'ada', '--out', made);
    expect(ended, ended.stderr).toMatchObject({ code: 0, stderr: '' });
    const dossier = join(elsewhere, 'dossier');
    cpSync(made, dossier, { recursive: true });
    cpSync(bench.stack.layout.root, join(elsewhere, 'root.json'));
    writeFileSync(join(elsewhere, 'log.vkey'), bench.custody.description.audit.vkey);
    const keep = process.env['CUSTODY_KEEP_DOSSIER'];
    if (keep !== undefined) cpSync(elsewhere, keep, { recursive: true });
    const verified = await there(
      ...['evidence', 'verify', dossier, '--root', join(elsewhere, 'root.json')],
      ...['--log-key', join(elsewhere, 'log.vkey')],
    );
    expect(verified, verified.stdout).toMatchObject({ code: 0, stderr: '' });
  });
});
