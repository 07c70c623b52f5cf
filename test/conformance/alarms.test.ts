import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const prometheus = process.env['CUSTODY_PROMETHEUS'];
const folder = mkdtempSync(join(tmpdir(), 'custody-alarms-'));
cpSync('deploy/prometheus', folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true }));

/** Prometheus' own checker, which lies beside it. */
const promtool = (...args: readonly string[]): string =>
  execFileSync(join(dirname(prometheus ?? ''), 'promtool'), [...args], {
    cwd: folder,
    encoding: 'utf8',
    stdio: 'pipe',
  });

if (prometheus === undefined && process.env['CI'] === undefined) test.skip('CUSTODY_PROMETHEUS names a Prometheus');
else {
  test('promtool finds nothing wrong with the configuration and its rules', () => {
    expect(promtool('check', 'config', 'prometheus.yml')).toMatch(/SUCCESS: .* is valid prometheus config file/);
    expect(promtool('check', 'rules', 'rules.yml')).toMatch(/SUCCESS: \d+ rules found/);
  });

  test('each alarm rings for what it is for, and for nothing else', () => {
    expect(promtool('test', 'rules', 'rules.test.yml')).toContain('SUCCESS');
  });

  test('attack: an alarm that would never ring is found', () => {
    const rules = readFileSync(join(folder, 'rules.yml'), 'utf8');
    expect(rules).toContain('custody_audit_waiting_seconds > 20');
    writeFileSync(join(folder, 'rules.yml'), rules.replace('custody_audit_waiting_seconds > 20', 'vector(0) > 1'));
    expect(() => promtool('test', 'rules', 'rules.test.yml')).toThrow(/exp: \{alertname="CustodyAuditStuck"/);
  });
}
