// `npm test`: sets everything up, checks types, style and layout, then runs every test. Ends with `N passed, N failed`.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, install } from './build.mjs';
import { ROOT, hand, main, say } from './lib.mjs';
import { servers } from './servers.mjs';

await main(async () => {
  await install();
  const found = await servers({ forTests: true });
  await build(found);
  const only = process.argv.slice(2);
  const checks =
    only.length > 0
      ? []
      : [
          ['tsc', '--noEmit'],
          ['eslint', '.', '--max-warnings', '0'],
          ['prettier', '--check', '--log-level', 'warn', '.'],
        ];
  let passed = 0;
  let failed = 0;
  for (const [command, ...args] of checks) {
    say(`  ${command} …`);
    if ((await hand(join(ROOT, 'node_modules', '.bin', command), args)) === 0) passed += 1;
    else failed += 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'custody-test-'));
  const report = join(folder, 'report.json');
  try {
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const code = await hand(
      process.execPath,
      [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...only],
      found,
    );
    const { numPassedTests, numFailedTests, numTotalTestSuites } = JSON.parse(readFileSync(report, 'utf8'));
    passed += numPassedTests;
    failed += numFailedTests;
    // A file that could not be loaded fails the run without counting as a test.
    if (code !== 0 && numFailedTests === 0) failed += 1;
    if (numTotalTestSuites === 0) failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
});
