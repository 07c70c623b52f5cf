import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { freePort } from '../../client/stack/layout.js';
import type { SignedEnvelope } from '../../domain/statements.js';
import { keyRing, verifyStatement } from '../../formats/statements.js';
import { until } from '../e2e/support/until.js';
import { ALERT_TOKEN, startRig } from '../unit/api/rig.js';
import { Cleanup, temporaryFolder } from '../unit/gateway/rig.js';

const executable = process.env['CUSTODY_ALERTMANAGER'];
const cleanup = new Cleanup();
afterAll(() => cleanup.run());

/** Debian's looks for its templates under /usr/share: where it was only unpacked it gets to see its own. */
function started(path: string): readonly string[] {
  const share = join(dirname(path), '..', 'share');
  const templates = 'prometheus/alertmanager/default.tmpl';
  if (existsSync(join('/usr/share', templates)) || !existsSync(join(share, templates))) return [path];
  const mount = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'];
  return [...mount, 'mount --bind "$0" /usr/share && exec "$@"', share, path];
}

test.skipIf(executable === undefined && process.env['CI'] === undefined)(
  'a real Alertmanager tells what fires, once, and nothing once it is resolved',
  async () => {
    const handed: { readonly model: string; readonly envelope: SignedEnvelope }[] = [];
    const rig = await startRig(null, { courier: async (model, envelope) => void handed.push({ model, envelope }) });
    cleanup.add(() => rig.stop());
    const folder = temporaryFolder(cleanup);
    const config = `
route: { receiver: custody, group_by: [model], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1s }
receivers:
  - name: custody
    webhook_configs:
      - url: ${rig.url}/v1/alerts
        http_config: { authorization: { credentials: ${ALERT_TOKEN} } }
`;
    writeFileSync(join(folder, 'alertmanager.yml'), config);
    const url = `http://127.0.0.1:${await freePort()}`;
    const [command = '', ...args] = [
      ...started(executable ?? ''),
      ...[`--config.file=${join(folder, 'alertmanager.yml')}`, `--storage.path=${folder}`],
      ...[`--web.listen-address=${new URL(url).host}`, '--cluster.listen-address='],
    ];
    const alertmanager = spawn(command, args, { stdio: 'ignore' });
    cleanup.add(async () => {
      const ended = once(alertmanager, 'exit');
      if (alertmanager.kill('SIGKILL')) await ended;
    });
    await until('Alertmanager', 30, async () => ((await fetch(`${url}/-/ready`)).ok ? true : null));
    const tell = (endsInSeconds: number): Promise<Response> =>
      fetch(`${url}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify([
          {
            labels: { alertname: 'PromptLeak', model: 'digits', version: '1.1.0', severity: 'critical' },
            annotations: { summary: 'answers contain the system prompt' },
            endsAt: new Date(Date.now() + endsInSeconds * 1000).toISOString(),
          },
        ]),
      });
    const answered = async (): Promise<number> => {
      const [, count = '0'] =
        /answers_total\{route="POST \/v1\/alerts",status="200"\} (\d+)/.exec(await rig.metrics()) ?? [];
      return Number(count);
    };
    expect((await tell(600)).status).toBe(200);
    await until('a firing and its repetition', 30, async () => ((await answered()) >= 2 ? true : null));
    const before = await answered();
    expect((await tell(0)).status).toBe(200);
    await until('the end of the firing', 30, async () => ((await answered()) > before ? true : null));

    expect(handed.map(({ model }) => model)).toEqual(['digits']);
    const ring = keyRing(rig.policies.current.newest);
    expect(handed.map(({ envelope }) => verifyStatement(envelope, 'alert', ring))).toMatchObject([
      {
        signers: ['siem'],
        predicate: { version: '1.1.0', severity: 'critical', reason: 'PromptLeak: answers contain the system prompt' },
      },
    ]);
    expect(rig.log()).not.toContain('refused');
  },
);
