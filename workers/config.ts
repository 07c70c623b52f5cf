import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { PrometheusOptions } from '../adapters/metrics/prometheus.js';
import type { GitHubAccess } from '../adapters/review/github.js';
import { scannersSchema } from '../adapters/scan/known.js';
import { CustodyError } from '../domain/errors.js';
import { ZONES } from '../domain/names.js';
import { importPrivateKey, type SigningKey } from '../formats/keys.js';
import { parseConfig } from '../formats/json.js';
import { gatewayAddressSchema, tlsFilesSchema } from '../formats/tls.js';
import { parsePinnedRoot, type PinnedRoot } from '../formats/policy.js';

const path = z.string().startsWith('/');
const key = z.strictObject({ id: z.string(), path });

const common = {
  environment: z.string(),
  /** The pinned root: a JSON file that only the host's administrator writes. */
  root: path,
  /** A folder of this zone's own. */
  state: path,
  temporal: z.strictObject({ address: z.string(), namespace: z.string() }),
  /** Where Prometheus reads the metrics of this zone, Temporal's and Custody's: an address of this host. */
  metrics: z.strictObject({ host: z.union([z.ipv4(), z.ipv6()]), port: z.int().min(1).max(65_535) }).exactOptional(),
  store: z.strictObject({
    endpoint: z.url(),
    region: z.string(),
    accessKey: z.string(),
    secretKey: z.string(),
    /** The signed proof that this store is WORM. */
    proof: path,
  }),
};
const gateways = z.array(gatewayAddressSchema).min(1);
const desk = z.url();
const git = {
  /** Where the repositories of the policy are, by name: paths, or addresses that git can fetch from. */
  repositories: z.record(z.string(), z.string().min(1).max(4096)).default({}),
  /** Where reviews of repositories on GitHub are asked for; `token`: a file with a token that may read them. */
  github: z.strictObject({ api: z.url({ protocol: /^https?$/ }), token: path.exactOptional() }).exactOptional(),
};

const schema = z.discriminatedUnion('zone', [
  z
    .strictObject({
      zone: z.literal('control'),
      ...common,
      key,
      /** What this worker is called among those of other builds, of which one runs the workflows. Without it, it is the only one. */
      build: z.string().min(1).max(255).exactOptional(),
      gateways,
      /** Sockets of the api listeners; there may be none. */
      apis: z.array(path),
      audit: z.strictObject({
        store: z.strictObject({ accessKey: z.string(), secretKey: z.string() }),
        key: path,
        /** The key that `key` takes over from, until it has. */
        previousKey: path.optional(),
        origin: z.string(),
        port: z.int(),
      }),
      mail: z.strictObject({
        smtp: z.string(),
        from: z.string(),
        authorities: path.exactOptional(),
        directory: path,
      }),
      /** Who orders drills; and where callers reach each gateway, in the order of `gateways`. */
      drills: z
        .strictObject({
          key,
          callers: z.array(z.url({ protocol: /^https?$/ })).min(1),
          /** A file with the bearer token of a declared consumer. */
          token: path.exactOptional(),
        })
        .exactOptional(),
    })
    .refine(({ gateways: at, drills }) => drills === undefined || drills.callers.length === at.length, {
      message: 'where callers reach each gateway: as many as there are gateways',
      path: ['drills', 'callers'],
    }),
  z.strictObject({
    zone: z.literal('intake'),
    ...common,
    key,
    vault: path,
    /** `optional`: this host may be without a sandbox. What is found so counts only where the policy says so, too. */
    isolation: z.enum(['required', 'optional']).default('required'),
    /** Scanners of other people's that this host can run, by the name by which a policy demands them. */
    scanners: scannersSchema.default({}),
    ...git,
  }),
  z.strictObject({ zone: z.literal('signing'), ...common, key, vault: path }),
  z
    .strictObject({
      zone: z.literal('serving'),
      ...common,
      key,
      gateways,
      vault: path,
      desk,
      modelServerUser: z.int().nullable(),
      /** Where gateways of other hosts reach the model servers. Without it they are reached on loopback only. */
      relay: z
        .strictObject({ host: z.string().min(1), port: z.int().min(0).max(65_535), tls: tlsFilesSchema })
        .exactOptional(),
    })
    .refine(({ gateways: at, relay }) => relay !== undefined || at.every((each) => typeof each === 'string'), {
      message: 'gateways on other hosts need a relay',
      path: ['relay'],
    }),
  z.strictObject({
    zone: z.literal('training'),
    ...common,
    key,
    outputs: path,
    /** Files that say what may be run, by name. */
    trainers: z.record(z.string(), path),
    /** A `strace`, by which what runs try is seen. */
    tracer: path.exactOptional(),
    ...git,
  }),
  z.strictObject({
    zone: z.literal('watch'),
    ...common,
    gateways,
    /** Where the metrics and alerts of the policy's triggers are asked for; `token`: a file with a bearer token. */
    prometheus: z.strictObject({ url: z.url({ protocol: /^https?$/ }), token: path.exactOptional() }).exactOptional(),
  }),
]);

export type ZoneConfig = z.infer<typeof schema>;
export type ConfigOf<Z extends ZoneConfig['zone']> = Extract<ZoneConfig, { zone: Z }>;

/** Reads a zone's configuration. CONFIG_INVALID lists everything that does not fit. */
export function loadConfig(file: string | undefined): ZoneConfig {
  if (file === undefined)
    throw new CustodyError('USAGE', `usage: worker <config.json>, of one of the zones ${ZONES.join(', ')}`);
  return parseConfig<ZoneConfig>(schema, readText(file), file);
}

export function loadRoot({ root, environment }: Pick<ZoneConfig, 'root' | 'environment'>): PinnedRoot {
  return parsePinnedRoot(readText(root), root, environment);
}

export function loadKey({ path: file }: { readonly path: string }): SigningKey {
  return importPrivateKey(readText(file));
}

/** With the token itself in place of its file. */
export function prometheusOf({ url, token }: NonNullable<ConfigOf<'watch'>['prometheus']>): PrometheusOptions {
  return token === undefined ? { url } : { url, token: readText(token).trim() };
}

/** The same. */
export function githubOf({ github }: Pick<ConfigOf<'training'>, 'github'>): GitHubAccess | undefined {
  if (github === undefined) return undefined;
  const { api, token } = github;
  return token === undefined ? { api } : { api, token: readText(token).trim() };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot read ${file}`, { details: { file }, cause });
  }
}
