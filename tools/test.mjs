// `npm test`: sets everything up, checks types, style and layout, then runs every test. Ends with `N passed, N failed`.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { build, install } from './build.mjs';
import { ROOT, hand, main, say } from './lib.mjs';
import { servers } from './servers.mjs';

const REASON_LENGTH = 400;

/** What failed, a line each, for whoever sees only the end of the output. */
function failuresOf({ testResults }) {
  const line = (name, reason) =>
    `FAILED ${name}: ${reason
      .replaceAll(/\n +at .*/g, '')
      .replaceAll(/\s+/g, ' ')
      .slice(0, REASON_LENGTH)}`;
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(ROOT, name);
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0) return status === 'failed' ? [line(file, message)] : [];
    return failed.map(({ fullName, failureMessages }) => line(`${file} > ${fullName}`, failureMessages.join(' ')));
  });
}

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
  const failures = [];
  const check = async ([command, ...args]) => {
    say(`  ${command} …`);
    if ((await hand(join(ROOT, 'node_modules', '.bin', command), args)) === 0) passed += 1;
    else failures.push(`FAILED ${command}`);
  };
  await Promise.all(checks.map(check));
  const folder = mkdtempSync(join(tmpdir(), 'custody-test-'));
  const report = join(folder, 'report.json');
  try {
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    const code = await hand(
      process.execPath,
      [
        vitest,
        'run',
        '--project=!reliability',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...only,
      ],
      found,
    );
    const told = JSON.parse(readFileSync(report, 'utf8'));
    const before = failures.length;
    failures.push(...failuresOf(told));
    passed += told.numPassedTests;
    if (code !== 0 && failures.length === before) failures.push('FAILED vitest: it says no more');
    if (told.numTotalTestSuites === 0) failures.push('FAILED vitest: it found no tests');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const line of failures) say(line);
  process.stdout.write(`\n${passed} passed, ${failures.length} failed\n`);
  return failures.length === 0 ? 0 : 1;
});
