import { readFileSync } from 'node:fs';
import { MockActivityEnvironment } from '@temporalio/testing';
import { startServing } from '../../../activities/serve.js';
import { createMemoryStore } from '../../../adapters/object-store/memory.js';
import { Records } from '../../../adapters/records.js';
import type { Digest } from '../../../domain/digest.js';
import type { ReleaseName } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import type { OpenedFile } from '../../../domain/vault.js';
import { importPrivateKey } from '../../../formats/keys.js';
import type { PinnedRoot } from '../../../formats/policy.js';

/** What this process is given: the contents of a store in memory and of a vault, and what it is to start. */
export interface HostConfig {
  readonly root: PinnedRoot;
  readonly key: string;
  readonly state: string;
  readonly objects: readonly (readonly [key: string, base64: string])[];
  readonly files: readonly OpenedFile<string>[];
  readonly start: readonly { readonly name: ReleaseName; readonly release: Digest }[];
}

// A serving worker as its supervisor sees it. Everything that happens is one JSON line on stdout.
const config = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as HostConfig;
const say = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};
const bucket = createMemoryStore().bucket('test-custody');
const versions = new Map<string, string>();
for (const [key, base64] of config.objects) {
  const { versionId } = await bucket.createOnce(key, Buffer.from(base64, 'base64'));
  versions.set(key, versionId ?? '');
}
const log = (level: string) => (fields: object, message: string) => say({ level, message, ...fields });
const { activities } = await startServing({
  records: new Records(bucket, config.root),
  vault: {
    open: async (sha256s) =>
      config.files
        .filter(({ sha256 }) => sha256s.includes(sha256))
        .map((file) => ({
          ...file,
          versionId: versions.get(storeKeys.blob(file.blob)) ?? '',
          key: Buffer.from(file.key, 'base64'),
        })),
  },
  gateways: [{ isHere: true, deliverReplica: async (replica) => say({ replica }) }],
  report: async (incident) => say({ incident }),
  key: importPrivateKey(config.key),
  state: config.state,
  modelUser: null,
  relay: null,
  log: { info: log('info'), warn: log('warn'), error: log('error') },
});
for (const { name, release } of config.start) {
  await new MockActivityEnvironment().run(activities.startRelease, name, release);
  say({ started: release });
}
