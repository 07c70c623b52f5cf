import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Scanner } from '../../adapters/scan/external.js';
import { ZONES, type Zone } from '../../domain/names.js';
import { replaceFile } from '../files.js';
import { sha256 } from '../../formats/sha256.js';
import { ALERT_KEY, AUDIT_KEY, DRILL_KEY, PREVIOUS_AUDIT_KEY } from '../init.js';
import type { Layout, Ports } from './layout.js';
import { auditKeyOf, auditOrigin } from './log-keys.js';
import type { EmbeddedStack } from './store.js';
import type { ProcessSpec } from './supervisor.js';
import type { Member, SocketName, Users } from './users.js';

export interface ZoneSettings {
  readonly layout: Layout;
  readonly environment: string;
  readonly namespace: string;
  readonly ports: Ports;
  readonly store: EmbeddedStack;
  readonly users: Users;
  /** The compiled code. */
  readonly dist: string;
  /** Trainer files, by name. */
  readonly trainers: Readonly<Record<string, string>>;
  /** The `strace` of this host, if it has one. */
  readonly tracer: string | null;
  /** Where the repositories of the policy are, by name. */
  readonly repositories: Readonly<Record<string, string>>;
  /** Other people's scanners, by name. */
  readonly scanners: Readonly<Record<string, Scanner>>;
  readonly mail: { readonly smtp: string; readonly from: string; readonly directory: string };
}

/** The processes that are ours, each with a configuration that only it can read. */
export class ZoneProcesses {
  readonly #settings: ZoneSettings;

  constructor(settings: ZoneSettings) {
    this.#settings = settings;
  }

  socket(owner: Member, name: SocketName): string {
    const { users, layout } = this.#settings;
    return join(users.socketFolder(owner, name, layout.path('sockets', name)), `${name}.sock`);
  }

  vault(): ProcessSpec {
    return this.#process('vault', 'vault/main.js', {
      sockets: {
        create: this.socket('vault', 'vault-create'),
        open: this.socket('vault', 'vault-open'),
        destroy: this.socket('vault', 'vault-destroy'),
        recover: this.socket('vault', 'vault-recover'),
      },
      log: auditKeyOf(this.#settings.layout, this.#settings.environment),
    });
  }

  gateway(): ProcessSpec {
    return this.#process('gateway', 'gateway/main.js', {
      listen: { host: '127.0.0.1', port: this.#settings.ports.gateway },
      admin: { socket: this.socket('gateway', 'gateway-admin') },
      // Nobody reads what this stack's processes say on stdout.
      accessLog: false,
    });
  }

  api(): ProcessSpec {
    return this.#process('api', 'api/main.js', {
      key: this.#key('api', 'api'),
      ...this.#alerts(),
      listen: { host: '127.0.0.1', port: this.#settings.ports.api },
      admin: { socket: this.socket('api', 'api-admin') },
    });
  }

  zones(): readonly ProcessSpec[] {
    return ZONES.map((zone) =>
      this.#process(zone, 'workers/main.js', { zone, ...this.#common(zone), ...this.#own(zone) }),
    );
  }

  /** An environment that was made before there were alerts has nobody to sign them. */
  #alerts(): object {
    const { layout } = this.#settings;
    if (!existsSync(layout.alertToken)) return {};
    const token = sha256(readFileSync(layout.alertToken, 'utf8').trim());
    return { alerts: { key: this.#key('api', ALERT_KEY), token, temporal: this.#temporal() } };
  }

  /** An environment that was made before there were drills has nobody to order them. */
  #drills(): object {
    const { layout, ports } = this.#settings;
    if (!existsSync(layout.key(DRILL_KEY))) return {};
    const callers = [`http://127.0.0.1:${ports.gateway}`];
    return { drills: { key: this.#key('control', DRILL_KEY), callers } };
  }

  #temporal(): object {
    const { ports, namespace } = this.#settings;
    return { address: `127.0.0.1:${ports.temporal}`, namespace };
  }

  #common(zone: Zone): object {
    const { store, ports } = this.#settings;
    return {
      temporal: this.#temporal(),
      metrics: { host: '127.0.0.1', port: ports[`${zone}-metrics`] },
      store: { ...store.credential(zone), proof: store.proofFile },
    };
  }

  #own(zone: Zone): object {
    const { environment, ports, store, users, trainers, repositories, tracer, scanners, mail, layout } = this.#settings;
    const gateways = [this.socket('gateway', 'gateway-admin')];
    switch (zone) {
      case 'control': {
        const { accessKey, secretKey } = store.credential('audit');
        const key = this.#key('control', AUDIT_KEY).path;
        const signing = { key, ...this.#previousKey(), origin: auditOrigin(environment) };
        const audit = { store: { accessKey, secretKey }, ...signing, port: ports.desk };
        const apis = [this.socket('api', 'api-admin')];
        return { key: this.#key('control', 'control'), gateways, apis, audit, mail, ...this.#drills() };
      }
      case 'intake':
        return {
          key: this.#key('intake', 'intake'),
          vault: this.socket('vault', 'vault-create'),
          scanners,
          repositories,
        };
      case 'signing':
        return { key: this.#key('signing', 'release-signer'), vault: this.socket('vault', 'vault-destroy') };
      case 'serving':
        return {
          key: this.#key('serving', 'serving'),
          gateways,
          vault: this.socket('vault', 'vault-open'),
          desk: `http://127.0.0.1:${ports.desk}`,
          modelServerUser: users.uid('model-server'),
        };
      case 'training':
        return {
          key: this.#key('training', 'trainer'),
          outputs: users.ownFolder('training', layout.path('outputs'), 0o755),
          trainers,
          repositories,
          ...(tracer === null ? {} : { tracer }),
        };
      case 'watch':
        return { gateways };
    }
  }

  /** Control has the log's key of before for as long as it has to hand the log over. */
  #previousKey(): object {
    const { layout } = this.#settings;
    if (existsSync(layout.key(PREVIOUS_AUDIT_KEY)))
      return { previousKey: this.#key('control', PREVIOUS_AUDIT_KEY).path };
    rmSync(layout.path('zones', 'control', `${PREVIOUS_AUDIT_KEY}.pem`), { force: true });
    return {};
  }

  /** A copy of the key that only the process's user can read. */
  #key(member: Member, id: string): { readonly id: string; readonly path: string } {
    const { layout, users } = this.#settings;
    const path = join(users.ownFolder(member, layout.path('zones', member)), `${id}.pem`);
    replaceFile(path, readFileSync(layout.key(id)), { mode: 0o400, owner: users.uid(member) });
    return { id, path };
  }

  #process(name: Member, entry: string, config: object): ProcessSpec {
    const { layout, users, environment, dist } = this.#settings;
    // A model server runs as another user, and comes through serving's folders to its release.
    const mode = name === 'serving' ? 0o711 : 0o700;
    const home = users.ownFolder(name, layout.path('zones', name), mode);
    const state = users.ownFolder(name, join(home, 'state'), mode);
    const file = join(home, 'config.json');
    const whole = { environment, root: layout.root, state, ...config };
    replaceFile(file, JSON.stringify(whole, null, 2), { mode: 0o400, owner: users.uid(name) });
    return {
      name,
      command: users.command(name, [process.execPath, join(dist, entry), file]),
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: home,
        NODE_ENV: 'production',
        ...('zone' in config ? tracing() : {}),
      },
      logFile: layout.log(name),
    };
  }
}

/** Where this process sends its traces, the workers do, too, each under a name of its own; those who trace nothing learn no token. */
function tracing(): Record<string, string> {
  const told = Object.entries(process.env).filter(([name]) => name.startsWith('OTEL_') && name !== 'OTEL_SERVICE_NAME');
  return Object.fromEntries(told) as Record<string, string>;
}
