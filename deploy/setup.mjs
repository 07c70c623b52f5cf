// `node deploy/setup.mjs [folder]`: makes everything that docker-compose.yml mounts: keys, a signed development policy, store
// and database secrets, one configuration per process. What is there is kept. Needs `npm run setup` before.
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = new URL('../dist/', import.meta.url);
const { replaceFile } = await import(new URL('client/files.js', DIST));
const { initialise, PREVIOUS_AUDIT_KEY } = await import(new URL('client/init.js', DIST));
const { Layout } = await import(new URL('client/stack/layout.js', DIST));
const { EmbeddedStack } = await import(new URL('client/stack/store.js', DIST));
const { sha256 } = await import(new URL('formats/sha256.js', DIST));
const { auditKeyOf } = await import(new URL('client/stack/log-keys.js', DIST));

const ENVIRONMENT = 'dev';
const PROCESSES = ['control', 'intake', 'signing', 'serving', 'training', 'watch', 'vault', 'gateway', 'api'];

const layout = new Layout(process.argv[2] ?? join(HERE, 'private'));
mkdirSync(layout.state, { recursive: true });
// Its files are read by the containers' users, who have nothing in common with ours: the folder keeps everybody else out.
chmodSync(layout.state, 0o700);
initialise(layout, { environment: ENVIRONMENT, suite: join(HERE, '..', 'examples', 'digits', 'suite.yaml') });
const store = new EmbeddedStack(layout, ENVIRONMENT, 7070);
const secretOf = (account) => store.credential(account).secretKey;
const put = (text, ...path) => {
  const file = layout.path(...path);
  mkdirSync(dirname(file), { recursive: true });
  replaceFile(file, text, { mode: 0o444 });
};
const copyKey = (path, name) => put(readFileSync(layout.key(keyId(path))), name, 'keys', `${keyId(path)}.pem`);
const keyId = (path) => path.slice(path.lastIndexOf('/') + 1, -'.pem'.length);

const configs = {};
for (const name of PROCESSES) {
  const config = JSON.parse(readFileSync(join(HERE, 'config', `${name}.json`), 'utf8'));
  for (const held of [config.store, config.audit?.store])
    if (held !== undefined) held.secretKey = secretOf(held.accessKey);
  if (config.alerts !== undefined) config.alerts.token = sha256(readFileSync(layout.alertToken, 'utf8').trim());
  // An environment that was made before there were drills has nobody to order them: its policy knows no such key.
  if (config.drills !== undefined && !existsSync(layout.key(config.drills.key.id))) {
    put('', name, 'keys', `${config.drills.key.id}.pem`);
    delete config.drills;
  }
  if (config.audit !== undefined) {
    if (existsSync(layout.key(PREVIOUS_AUDIT_KEY)))
      config.audit.previousKey = `/etc/custody/keys/${PREVIOUS_AUDIT_KEY}.pem`;
    else put('', name, 'keys', `${PREVIOUS_AUDIT_KEY}.pem`);
  }
  if (name === 'vault') config.log = auditKeyOf(layout, ENVIRONMENT);
  put(`${JSON.stringify(config, null, 2)}\n`, name, 'config.json');
  for (const path of [
    config.key?.path,
    config.alerts?.key.path,
    config.audit?.key,
    config.audit?.previousKey,
    config.drills?.key.path,
  ])
    if (path !== undefined) copyKey(path, name);
  configs[name] = config;
}
replaceFile(layout.root, readFileSync(layout.root), { mode: 0o444 });

put(`ROOT_ACCESS_KEY=admin\nROOT_SECRET_KEY=${secretOf('admin')}\n`, 'store', 'store.env');
const password = layout.path('postgresql', 'password');
if (!existsSync(password)) put(randomBytes(24).toString('base64url'), 'postgresql', 'password');
put(`POSTGRES_PWD=${readFileSync(password, 'utf8')}\n`, 'temporal', 'temporal.env');
if (!existsSync(layout.path('directory.json'))) put('{ "consumers": {} }\n', 'directory.json');
mkdirSync(layout.path('releases'), { recursive: true, mode: 0o755 });

// What the `custody` command needs to find its way: no credential in it writes.
const { control, gateway, api } = configs;
const { endpoint, region } = control.store;
const description = {
  pid: 1,
  environment: ENVIRONMENT,
  temporal: { ...control.temporal, ui: 'http://127.0.0.1:8233' },
  store: { endpoint, region, accessKey: 'reader', secretKey: secretOf('reader') },
  gateway: { url: `http://127.0.0.1:${gateway.listen.port}`, admin: gateway.admin.socket, others: [] },
  api: { url: `http://127.0.0.1:${api.listen.port}` },
  desk: `http://127.0.0.1:${control.audit.port}`,
  audit: { vkey: auditKeyOf(layout, ENVIRONMENT) },
  vault: { recover: configs.vault.sockets.recover },
  metrics: Object.fromEntries(
    Object.entries(configs).flatMap(([name, { metrics }]) =>
      metrics === undefined ? [] : [[name, `http://127.0.0.1:${metrics.port}/metrics`]],
    ),
  ),
  processes: {},
};
replaceFile(layout.description, `${JSON.stringify(description, null, 2)}\n`);
process.stderr.write(`made ${layout.state}: keep it to yourself, it holds every key of the environment\n`);
