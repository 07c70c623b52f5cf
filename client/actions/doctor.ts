import { statfsSync, statSync } from 'node:fs';
import colors from 'picocolors';
import { drillReport, said } from '../../adapters/drill-runs.js';
import { createGatewayClient } from '../../adapters/gateway/client.js';
import { detectSandbox } from '../../adapters/sandbox/sandbox.js';
import { lockReport } from '../../adapters/retention-runs.js';
import { CustodyError } from '../../domain/errors.js';
import { connect, openReading } from '../connect.js';
import { answer, counted, good, plain } from '../output.js';
import type { Session } from '../session.js';
import { isAlive, readDescription } from '../stack/layout.js';
import { EmbeddedStack } from '../stack/store.js';
import { isolation } from './isolation.js';

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
}

export async function doctor(
  session: Session,
  options: { store?: true; isolation?: true; with?: readonly string[] },
): Promise<void> {
  if (options.isolation === true) return isolation(session, options.with ?? []);
  const findings: Finding[] = [];
  const look = async (what: string, check: () => Promise<string>): Promise<void> => {
    try {
      findings.push({ what, ok: true, found: await check() });
    } catch (error) {
      findings.push({ what, ok: false, found: error instanceof Error ? error.message : String(error) });
    }
  };
  const { layout } = session;
  await look('sandbox', async () => {
    const kind = await detectSandbox();
    if (kind === null) throw new CustodyError('SANDBOX_UNAVAILABLE', 'none: training, scanning and validation refuse');
    return kind;
  });
  await look('stack', async () => {
    const { pid, processes } = readDescription(layout);
    const dead = Object.entries(processes).filter(([, process]) => !isAlive(process));
    if (!isAlive(pid) || dead.length > 0)
      throw new CustodyError('INTERNAL', `not running: ${dead.map(([name]) => name).join(', ') || 'the supervisor'}`);
    return `${Object.keys(processes).length} processes`;
  });
  await look('disk', async () => {
    const { bavail, bsize } = statfsSync(layout.state);
    return `${Math.round((bavail * bsize) / 1e9)} GB free`;
  });
  await look('keys', async () => {
    if ((statSync(layout.path('keys')).mode & 0o077) !== 0)
      throw new CustodyError('CONFIG_INVALID', `others can enter ${layout.path('keys')}: chmod 700`);
    return 'only their owner reads them';
  });
  await look('temporal', async () => {
    const custody = await connect(layout);
    await custody.close();
    return custody.description.temporal.address;
  });
  await look('policy', async () => {
    const custody = await connect(layout);
    try {
      const { newest } = await custody.records.policies();
      if (Date.parse(newest.expires) < Date.now())
        throw new CustodyError('POLICY_EXPIRED', `expired ${newest.expires}`);
      return `version ${newest.version}, until ${newest.expires}`;
    } finally {
      await custody.close();
    }
  });
  await look('locks', async () => {
    const { records } = openReading(layout);
    const { last, troubles } = await lockReport(records);
    if (troubles.length > 0) throw new CustodyError('STORE_NOT_WORM', troubles.join('; '));
    return last === null
      ? 'not extended yet'
      : `extended ${last.startedAt}, the first ends ${last.earliest ?? 'never'}`;
  });
  await look('drill', async () => {
    const { records } = openReading(layout);
    const { rules, last, held, troubles } = await drillReport(records);
    if (troubles.length > 0) throw new CustodyError('INTERNAL', troubles.join('; '));
    if (rules === null) return 'the policy declares none';
    const told = [...new Set([held, last])].flatMap((each) =>
      each === null ? [] : [`${each.startedAt} ${said(each)}`],
    );
    return told.length === 0 ? `none of ${rules.model} yet` : told.join('; ');
  });
  await look('gateway', async () => {
    const { admin, others } = readDescription(layout).gateway;
    const states = await Promise.all([admin, ...others].map((at) => createGatewayClient(at).state()));
    if (states.some(({ fresh }) => !fresh)) throw new CustodyError('STATUS_STALE', 'it has no fresh status document');
    return states.map(({ models }) => counted(models.length, 'model')).join(', ');
  });
  await look('api', async () => {
    const { url } = readDescription(layout).api;
    const answer = await fetch(new URL('/readyz', url));
    if (!answer.ok) throw new CustodyError('API_UNAVAILABLE', `${url} is not ready: ${await answer.text()}`);
    return url;
  });
  if (options.store === true)
    await look('store', async () => {
      const { environment, store } = readDescription(layout);
      const { checks } = await new EmbeddedStack(layout, environment, Number(new URL(store.endpoint).port)).prove();
      return `WORM: ${checks.map(({ check }) => check).join(', ')} all refused. It never calls fsync: safe against crashes of processes, not of power`;
    });
  answer(
    session,
    findings,
    findings.map(({ what, ok, found }) => `${ok ? good('ok ') : colors.red('bad')} ${what.padEnd(9)} ${plain(found)}`),
  );
  if (findings.some(({ ok }) => !ok)) process.exitCode = 7;
}
