import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { tryUsers, type Host } from '../../../client/isolation/users.js';
import { Layout } from '../../../client/stack/layout.js';
import { MEMBERS } from '../../../client/stack/users.js';

const TEST = 62_100;
const PROD = 62_200;
const RUNNING = MEMBERS.filter((member) => member !== 'model-server');

let host: string;
beforeEach((context) => {
  if (process.getuid?.() !== 0) context.skip('only root becomes other users');
  host = mkdtempSync(join(tmpdir(), 'custody-users-'));
  chmodSync(host, 0o755);
  const made = host;
  onTestFinished(() => rmSync(made, { recursive: true }));
});

/** A process that lives until the test has ended, and has become who it is to be. */
async function run(uid: number, ...further: readonly string[]): Promise<number> {
  const as = ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', ...further];
  const child = spawn('setpriv', [...as, '--pdeathsig', 'TERM', '--', 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
  });
  child.stdin.write('here\n');
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

/** The processes and folders of a stack whose members are users from `first` on. */
async function stack(environment: string, first: number, serving: readonly string[] = []): Promise<Host> {
  const started = RUNNING.map(async (member) => {
    const further = member === 'serving' ? serving : [];
    return [member, await run(first + MEMBERS.indexOf(member), ...further)] as const;
  });
  return {
    ...described(environment, Object.fromEntries(await Promise.all(started))),
    layout: folders(environment, first),
  };
}

function described(environment: string, processes: Readonly<Record<string, number>>): Pick<Host, 'description'> {
  return { description: { environment, pid: process.pid, processes } };
}

function folders(environment: string, first: number): Layout {
  const layout = new Layout(join(host, environment));
  for (const name of ['keys', 'sockets', 'store/accounts', 'store/objects', 'store/versions', 'temporal'])
    mkdirSync(layout.path(name), { recursive: true });
  for (const name of ['store', 'temporal', 'keys']) chmodSync(layout.path(name), 0o700);
  writeFileSync(layout.path('temporal', 'temporal.db'), '');
  for (const name of ['store-secrets.json', 'stack.json', 'store/accounts/users.json'])
    writeFileSync(layout.path(name), '{}', { mode: 0o600 });
  for (const member of RUNNING) {
    const uid = first + MEMBERS.indexOf(member);
    mkdirSync(layout.path('zones', member, 'state', 'blobs'), { recursive: true });
    for (const file of ['config.json', 'state/blobs/key']) {
      writeFileSync(layout.path('zones', member, file), '{}', { mode: 0o600 });
      chownSync(layout.path('zones', member, file), uid, uid);
    }
    chmodSync(layout.path('zones', member), 0o700);
    chownSync(layout.path('zones', member), uid, uid);
  }
  return layout;
}

describe('the users of two environments', () => {
  test('are tried as what runs, and open nothing of each other', async () => {
    const [from, to] = [await stack('test', TEST), await stack('prod', PROD)];
    const cells = await tryUsers(from, to);
    expect(cells.map(({ state, how }) => [state, how.replace(/\d+/g, 'N')])).toEqual(
      MEMBERS.map(() => ['refused', 'as user N, none of N can be read or written']),
    );
    expect(cells.map(({ how }) => how).join()).toContain(`as user ${TEST + MEMBERS.indexOf('model-server')},`);
    expect(cells.filter(({ caveat }) => caveat !== undefined)).toEqual([]);
  });

  test.each([
    ['what the vault keeps', 'zones/vault', 0o755],
    ['the accounts of the store', 'store', 0o755],
    ['the histories of Temporal', 'temporal', 0o755],
  ])('attack: %s where others can read it is found', async (_, path, mode) => {
    const [from, to] = [await stack('test', TEST), await stack('prod', PROD)];
    chmodSync(to.layout.path(path), mode);
    const cells = await tryUsers(from, to);
    for (const cell of cells)
      expect(cell).toMatchObject({
        state: 'accepted',
        how: expect.stringContaining(`it can open ${to.layout.path(path)}`) as string,
      });
  });

  test('attack: the same ones in both are found, whatever the folders let them open', async () => {
    const from = await stack('test', TEST);
    const to = { ...from, ...described('prod', from.description.processes), layout: folders('prod', PROD) };
    const cells = await tryUsers(from, to);
    expect(cells).toContainEqual(
      expect.objectContaining({ state: 'accepted', how: `it is the user ${TEST}, as control of prod is` }),
    );
    expect(cells.every(({ state }) => state === 'accepted')).toBe(true);
  });

  test('attack: where all processes are one user, that root asks makes them no others', async () => {
    const pid = await run(TEST);
    const processes = Object.fromEntries(RUNNING.map((member) => [member, pid]));
    const from = { ...described('test', processes), layout: folders('test', TEST) };
    const to = { ...described('prod', processes), layout: folders('prod', PROD) };
    expect(await tryUsers(from, to)).toEqual([
      expect.objectContaining({
        state: 'accepted',
        how: `all processes of test on this host are one user, ${TEST}`,
      }),
    ]);
  });

  test('attack: the number of a process that has ended, and is another’s now, stands for nothing', async () => {
    const from = await stack('test', TEST);
    const to = await stack('prod', PROD);
    const processes = { ...from.description.processes, vault: 1, intake: 2 ** 22 + 1 };
    const cells = await tryUsers({ ...from, ...described('test', processes) }, to);
    const unknown = cells.filter(({ state }) => state === 'unknown').map(({ credential }) => credential);
    expect(unknown).toEqual(['user of intake', 'user of vault', 'user of model-server']);
  });

  test('it is said of one that can become anybody, which turns nothing red', async () => {
    const from = await stack('test', TEST, ['--inh-caps', '+setuid', '--ambient-caps', '+setuid']);
    const cells = await tryUsers(from, await stack('prod', PROD));
    expect(cells.every(({ state }) => state === 'refused')).toBe(true);
    expect(cells.filter(({ caveat }) => caveat !== undefined)).toEqual([
      expect.objectContaining({
        credential: 'user of serving',
        caveat: expect.stringMatching(/can become every user of this host/) as string,
      }),
    ]);
  });
});
