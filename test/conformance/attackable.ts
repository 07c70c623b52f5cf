import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { createMemoryStore } from '../../adapters/object-store/memory.js';
import { S3Session, failure, type S3Config, type S3Request } from '../../adapters/object-store/s3-session.js';
import { openBucket } from '../../adapters/object-store/s3.js';
import type { TestStore } from '../support/store.js';
import type { Attackable } from './object-store-suite.js';

export const bucketName = (): string => `bucket-${randomUUID()}`;

export function attackMemory(): Attackable {
  const store = createMemoryStore();
  return {
    bucket: async (settings) => store.bucket(bucketName(), settings),
    deleteMarker: async (bucket, key) => store.deleteMarker(bucket, key),
    overwrite: async (bucket, key, body) => store.overwrite(bucket, key, body),
    deleteVersion: async (bucket, key, versionId) => store.deleteVersion(bucket, key, versionId),
  };
}

export async function send(config: S3Config, request: S3Request): ReturnType<S3Session['text']> {
  const answer = await new S3Session(config).text(request);
  if (answer.status >= 400) throw failure(`${request.method} ${request.key ?? ''}`, answer);
  return answer;
}

export function attackS3({ admin, config }: TestStore): Attackable {
  return {
    bucket: async (settings) => {
      const name = bucketName();
      await admin.createBucket(name, settings);
      return openBucket(config, name);
    },
    deleteMarker: async (bucket, key) => {
      const { headers } = await send(config, { method: 'DELETE', bucket, key });
      expect(headers['x-amz-delete-marker']).toBe('true');
    },
    overwrite: async (bucket, key, body) => {
      const { headers } = await send(config, { method: 'PUT', bucket, key, body });
      return headers['x-amz-version-id'] as string;
    },
    deleteVersion: async (bucket, key, versionId) => {
      await send(config, { method: 'DELETE', bucket, key, query: { versionId: versionId ?? 'null' } });
    },
  };
}
