import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, MODEL, run, type Ended } from './harness.js';
import { compiled } from './support/product.js';

const VERSION = '1.0.1';
const NAMED = `${MODEL}@${VERSION}`;

/** Another release than the first, by what is written in it. */
function worded(folder: string): void {
  const file = join(folder, 'README.md');
  writeFileSync(file, `${readFileSync(file, 'utf8')}\nA word more.\n`);
}

let bench: Bench;
/** A place that has nothing of the stack but a copy of the dossier and the public keys. */
let elsewhere: string;

beforeAll(async () => {
  bench = await Bench.start();
  await bench.putFirstInService();
  await bench.start(await bench.source(VERSION, { change: worded }));
  const waiting = await bench.openGate(VERSION);
  await bench.tell(waiting.workflowId, 'approve', await bench.decision('alice', waiting));
  await bench.reached(VERSION, 'in service');
  await bench.cli('kill', MODEL, '--reason', 'a customer reports <b>wrong</b> digits', '--key', 'oscar');
  await bench.answers({ status: 503 });
  await bench.restore();
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
    const ended = await bench.cli('evidence', NAMED, '--key', 'ada', '--out', made);
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
