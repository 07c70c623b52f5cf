import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WorkflowFailedError } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { createGatewayClient, type GatewayClient } from '../../adapters/gateway/client.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { S3Config } from '../../adapters/object-store/s3-session.js';
import { Records } from '../../adapters/records.js';
import { createVaultClient, type VaultClient } from '../../adapters/vault/client.js';
import type { Zone } from '../../domain/names.js';
import { bucketNames } from '../../domain/store-keys.js';
import type { SigningKey } from '../../formats/keys.js';
import { workflowBundle } from '../support/temporal.js';
import type { Bench } from './harness.js';

const QUEUE = 'attacker';

/**
 * Control, taken over whole: its key, its credential of the store, every right in the namespace, and every socket of the
 * host. What it lacks is a person's key, and the keys of the other zones.
 */
export class Insider {
  readonly key: SigningKey;
  readonly records: Records;
  readonly gateway: GatewayClient;
  readonly vault: VaultClient;
  readonly #bench: Bench;
  readonly #stop: () => Promise<void>;
  #calls = 0;

  private constructor(bench: Bench, stop: () => Promise<void>) {
    this.#bench = bench;
    this.#stop = stop;
    this.key = bench.key('control');
    const config = JSON.parse(readFileSync(join(bench.state, 'zones', 'control', 'config.json'), 'utf8')) as {
      readonly store: S3Config;
    };
    const { endpoint, region, accessKey, secretKey } = config.store;
    const store = { endpoint, region, accessKey, secretKey };
    const bucket = openBucket(store, bucketNames(bench.custody.description.environment).custody);
    this.records = new Records(bucket, bench.custody.records.root);
    this.gateway = createGatewayClient(bench.custody.description.gateway.admin);
    const socket = (name: string): string => join(bench.state, 'sockets', `vault-${name}`, `vault-${name}.sock`);
    this.vault = createVaultClient({ create: socket('create'), open: socket('open'), destroy: socket('destroy') });
  }

  static async start(bench: Bench): Promise<Insider> {
    const { address, namespace } = bench.custody.description.temporal;
    const connection = await NativeConnection.connect({ address });
    const workflowBundleOfTheirs = await workflowBundle('test/e2e/attacker.ts');
    const worker = await Worker.create({
      connection,
      namespace,
      taskQueue: QUEUE,
      workflowBundle: workflowBundleOfTheirs,
    });
    const running = worker.run();
    return new Insider(bench, async () => {
      worker.shutdown();
      await running;
      await connection.close();
    });
  }

  stop(): Promise<void> {
    return this.#stop();
  }

  /** Writes what is not there yet. */
  async write(key: string, value: Buffer): Promise<void> {
    await this.records.bucket.createOnce(key, value, await this.records.lock());
  }

  /** Asks a zone for an activity; answers the code it is refused with, or `done`. */
  async call(zone: Zone, activity: string, ...args: readonly unknown[]): Promise<string> {
    this.#calls += 1;
    try {
      await this.#bench.custody.temporal.workflow.execute('call', {
        workflowId: `attack-${this.#calls}`,
        taskQueue: QUEUE,
        args: [zone, activity, args],
      });
      return 'done';
    } catch (error) {
      const cause = error instanceof WorkflowFailedError ? error.cause : null;
      const refusal = cause instanceof ActivityFailure ? cause.cause : null;
      if (refusal instanceof ApplicationFailure) return refusal.type ?? refusal.message;
      throw error;
    }
  }
}
