import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2019, type ValidateFunction } from 'ajv/dist/2019.js';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ZONES } from '../../../domain/names.js';
import { generateKey } from '../../../formats/keys.js';
import { loadConfig as loadGateway } from '../../../gateway/config.js';
import { loadConfig as loadApi } from '../../../api/config.js';
import { loadConfig as loadVault } from '../../../vault/config.js';
import { loadConfig as loadZone } from '../../../workers/config.js';
import { logVkey } from '../../support/log-key.js';

interface Mount {
  readonly source: string;
  readonly target: string;
}
interface Service {
  readonly image?: string;
  readonly command?: readonly string[] | string;
  readonly user?: string;
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly profiles?: readonly string[];
  readonly configs?: readonly Mount[];
  readonly secrets?: readonly (Mount | string)[];
  readonly volumes?: readonly string[];
  readonly stdin_open?: boolean;
  readonly network_mode?: string;
  readonly networks?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly privileged?: boolean;
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const text = readFileSync('docker-compose.yml', 'utf8');
const compose = parse(text, { merge: true }) as Compose;
const services = Object.entries(compose.services);
/** What `docker compose up` starts, as against what is run once. */
const lasting = services.filter(([, { profiles }]) => profiles === undefined);
const PROCESSES = [...ZONES, 'vault', 'gateway', 'api'] as const;

/** A version with at least two numbers, whatever follows it: neither `latest` nor a tag that moves with each release. */
const EXACT = /^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$/;
const SECRET_NAME = /(PWD|PASSWORD|SECRET|TOKEN|KEY)$/;
/** As long as a key, in one of the alphabets that keys are written in; a path begins with a slash. */
const SECRET_VALUE = /^[A-Za-z0-9+_=-][A-Za-z0-9+/_=-]{19,}$/;

function problemsOf(document: unknown): ValidateFunction['errors'] {
  // It says `id` for what its own dialect calls `$id`, and names that dialect with an empty fragment: both name only itself.
  const schema = JSON.parse(readFileSync('test/unit/repo/fixtures/compose-spec.json', 'utf8'), (key, value: unknown) =>
    (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
  ) as object;
  const ajv = new Ajv2019({ strict: false, allErrors: true, formats: { duration: true, ports: true, expose: true } });
  const validate = ajv.compile(schema);
  validate(document);
  return validate.errors ?? null;
}

describe('docker-compose.yml', () => {
  it('follows the schema of the Compose Specification', () => {
    expect(problemsOf(compose)).toBeNull();
  });

  it('would be refused with a member that the specification does not know', () => {
    const { gateway, ...others } = compose.services;
    expect(problemsOf({ ...compose, services: { ...others, gateway: { ...gateway, healtcheck: {} } } })).not.toBeNull();
  });

  it('has a service for the database, Temporal, its UI, the store, Prometheus, the vault, the gateway and every zone', () => {
    const names = lasting.map(([name]) => name);
    for (const name of ['postgresql', 'temporal', 'temporal-ui', 'store', 'prometheus', ...PROCESSES])
      expect(names).toContain(name);
  });

  it.each(services)('names an exact version of the image of %s', (_, { image }) => {
    expect(image).toMatch(EXACT);
    expect(image).not.toContain('latest');
  });

  it.each(lasting)('checks the health of %s', (_, { healthcheck }) => {
    expect(healthcheck?.disable ?? false).toBe(false);
    expect(healthcheck?.test?.length ?? 0).toBeGreaterThan(1);
  });

  it.each(services)('holds no secret in the environment of %s', (_, { environment = {} }) => {
    for (const [name, value] of Object.entries(environment)) {
      expect(name).not.toMatch(SECRET_NAME);
      expect(String(value)).not.toMatch(SECRET_VALUE);
    }
  });

  it('publishes ports on loopback alone', () => {
    for (const port of services.flatMap(([, { ports = [] }]) => ports)) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('mounts only what it declares', () => {
    for (const [name, { configs = [], secrets = [], volumes = [] }] of services) {
      for (const { source } of configs) expect(Object.keys(compose.configs), name).toContain(source);
      for (const held of secrets)
        expect(Object.keys(compose.secrets), name).toContain(typeof held === 'string' ? held : held.source);
      for (const volume of volumes.filter((each) => !each.startsWith('.')))
        expect(Object.keys(compose.volumes), name).toContain(volume.split(':')[0]);
    }
  });

  it.each(PROCESSES)('runs %s as a user of its own, without a right of root, and with an open stdin', (name) => {
    const service = compose.services[name];
    expect(service?.cap_drop).toEqual(['ALL']);
    expect(service?.privileged).toBeUndefined();
    expect(service?.stdin_open).toBe(true);
    const uids = PROCESSES.map((each) => compose.services[each]?.user);
    expect(service?.user).toMatch(/^612\d\d:612\d\d$/);
    expect(uids.filter((user) => user === service?.user)).toHaveLength(1);
  });

  it('gives each key to one process', () => {
    const keys = services.flatMap(([, { secrets = [] }]) =>
      secrets.flatMap((held) => (typeof held !== 'string' && held.target.endsWith('.pem') ? [held.source] : [])),
    );
    expect(keys.length).toBeGreaterThan(4);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('gives each socket of the vault to one zone, and that of auditors to none', () => {
    for (const [socket, zones] of Object.entries({
      create: ['intake'],
      open: ['serving'],
      destroy: ['signing'],
      recover: [],
    })) {
      const holders = services
        .filter(([, { volumes = [] }]) => volumes.some((volume) => volume.startsWith(`vault-${socket}:`)))
        .map(([name]) => name);
      expect(holders.sort()).toEqual([...zones, 'vault'].sort());
    }
  });
});

describe('the Dockerfile', () => {
  const lines = readFileSync('Dockerfile', 'utf8').split('\n');
  const stages = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1]);

  it('is built from exact versions, in more than one stage', () => {
    expect(stages.length).toBeGreaterThan(1);
    for (const stage of stages) expect(stage).toMatch(/^node:20\.\d+\.\d+-bookworm-slim$/);
  });

  it('is let see every folder that a service of docker-compose.yml runs, and what it copies', () => {
    const shown = readFileSync('.dockerignore', 'utf8').split('\n');
    const programs = Object.values(compose.services).flatMap(({ command = [] }) =>
      [command].flat().filter((word) => word.startsWith('dist/')),
    );
    const copied = lines.flatMap((line) => /^COPY --from=build \/app\/(\w+) /.exec(line)?.[1] ?? []);
    const needed = [...programs.map((program) => program.split('/')[1]), ...copied.filter((name) => name !== 'dist')];
    expect(needed).toEqual(expect.arrayContaining(['workers', 'gateway', 'vault', 'api', 'suites']));
    for (const name of needed.filter((each) => each !== 'node_modules')) expect(shown).toContain(`!${name}`);
  });

  it('does not run as root', () => {
    const users = lines.filter((line) => line.startsWith('USER '));
    expect(users.at(-1)).toMatch(/^USER [1-9]\d*:[1-9]\d*$/);
  });

  it('makes every folder that the services write to, with the owner that they run as', () => {
    const made = lines.join('\n');
    PROCESSES.forEach((name, at) => {
      expect(compose.services[name]?.user).toBe(`${61_200 + at}:${61_200 + at}`);
    });
    expect(made).toContain(`for name in ${PROCESSES.join(' ')};`);
    for (const socket of ['vault-create', 'vault-open', 'vault-destroy', 'vault-recover', 'gateway-admin', 'api-admin'])
      expect(made).toMatch(new RegExp(`-m 2750 /run/custody/${socket}\\b`));
  });
});

describe('the configurations in deploy/config', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'custody-deploy-'));
    const root = { environment: 'dev', rootKeys: [generateKey('ed25519').publicPem], threshold: 1 };
    writeFileSync(join(folder, 'root.json'), JSON.stringify(root));
    writeFileSync(join(folder, 'api.pem'), generateKey('ed25519').privatePem);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const template = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join('deploy', 'config', `${name}.json`), 'utf8')) as Record<string, unknown>;

  it('are one for each process, and no other', () => {
    expect(readdirSync('deploy/config').sort()).toEqual(PROCESSES.map((name) => `${name}.json`).sort());
  });

  const keysOfApi = (): object => {
    const path = join(folder, 'api.pem');
    const alerts = template('api')['alerts'] as object;
    return { key: { id: 'api', path }, alerts: { ...alerts, key: { id: 'alertmanager', path } } };
  };

  it.each(PROCESSES)('of %s is one that the process itself accepts', (name) => {
    const file = join(folder, `${name}.json`);
    const local = {
      root: join(folder, 'root.json'),
      state: join(folder, name),
      ...(name === 'api' ? keysOfApi() : {}),
      ...(name === 'vault' ? { log: logVkey } : {}),
    };
    writeFileSync(file, JSON.stringify({ ...template(name), ...local }));
    const load = { vault: loadVault, gateway: loadGateway, api: loadApi }[name as string] ?? loadZone;
    expect(load(file)).toMatchObject(load === loadZone ? { zone: name } : {});
    writeFileSync(file, JSON.stringify({ ...template(name), ...local, unknown: true }));
    expect(() => load(file)).toThrow(/unknown/i);
  });

  it.each(PROCESSES)('of %s names only paths that are mounted in its service or are in the image', (name) => {
    const { configs = [], secrets = [], volumes = [] } = compose.services[name] ?? {};
    const targets = [
      ...configs.map(({ target }) => target),
      ...secrets.flatMap((held) => (typeof held === 'string' ? [] : [held.target])),
      ...volumes.map((volume) => volume.split(':')[1] ?? ''),
    ];
    const paths = JSON.stringify(template(name)).match(/(?<=")\/[^"]+(?=")/g) ?? [];
    expect(paths.length).toBeGreaterThan(1);
    for (const path of paths)
      expect(
        path.startsWith('/app/examples/') || targets.some((target) => path === target || path.startsWith(`${target}/`)),
        path,
      ).toBe(true);
  });

  it('hold no secret', () => {
    for (const name of PROCESSES)
      for (const [, secret] of JSON.stringify(template(name)).matchAll(/"secretKey":"([^"]*)"/g))
        expect(secret).toBe('written by deploy/setup.mjs');
  });
});

it('Temporal is given what a lone workflow would wait at every hop without', () => {
  expect(parse(readFileSync('deploy/temporal/dynamic.yaml', 'utf8'))).toEqual({
    'history.transferProcessorMaxPollRPS': [{ value: 200 }],
    'history.timerProcessorMaxPollRPS': [{ value: 200 }],
    'history.timerProcessorMaxTimeShift': [{ value: '1ms' }],
    'system.enableActivityEagerExecution': [{ value: true }],
  });
  expect(compose.configs['temporal-dynamic']?.file).toBe('deploy/temporal/dynamic.yaml');
});

it('Prometheus scrapes services that are there', () => {
  const { scrape_configs: jobs } = parse(readFileSync('deploy/prometheus/prometheus.yml', 'utf8')) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  const targets = jobs.flatMap((job) => job.static_configs.flatMap(({ targets: listed }) => listed));
  expect(targets.length).toBeGreaterThan(1);
  for (const target of targets) expect(Object.keys(compose.services)).toContain(target.split(':')[0]);
});
