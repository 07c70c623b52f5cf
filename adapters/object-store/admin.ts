import { CustodyError } from '../../domain/errors.js';
import { checksum, locationXml, versioningXml } from './s3-lock.js';
import { S3Session, failure, type S3Config } from './s3-session.js';
import { textOf } from './xml.js';

/** Object Lock brings versioning with it. */
export interface BucketSettings {
  readonly objectLock: boolean;
  readonly versioning: boolean;
}

/** `hold` is `write` and the right to set legal holds. Nobody is granted the right to delete. */
export type Access = 'read' | 'write' | 'hold';

export interface Grant {
  /** An access key. */
  readonly account: string;
  readonly access: Access;
}

const READ = {
  bucket: ['s3:ListBucket', 's3:ListBucketVersions', 's3:GetBucketVersioning', 's3:GetBucketObjectLockConfiguration'],
  object: ['s3:GetObject', 's3:GetObjectVersion', 's3:GetObjectRetention', 's3:GetObjectLegalHold'],
};
const WRITE = {
  bucket: READ.bucket,
  object: [...READ.object, 's3:PutObject', 's3:PutObjectRetention', 's3:AbortMultipartUpload'],
};
const HOLD = { bucket: WRITE.bucket, object: [...WRITE.object, 's3:PutObjectLegalHold'] };
const ACTIONS: Readonly<Record<Access, { readonly bucket: readonly string[]; readonly object: readonly string[] }>> = {
  read: READ,
  write: WRITE,
  hold: HOLD,
};
const ALREADY = new Set(['BucketAlreadyOwnedByYou', 'BucketAlreadyExists']);

function policyOf(bucket: string, grants: readonly Grant[]): string {
  const statement = ({ account, access }: Grant, kind: 'bucket' | 'object'): object => ({
    Effect: 'Allow',
    Principal: { AWS: [account] },
    Action: ACTIONS[access][kind],
    Resource: [`arn:aws:s3:::${bucket}${kind === 'object' ? '/*' : ''}`],
  });
  const statements = grants.flatMap((grant) => [statement(grant, 'bucket'), statement(grant, 'object')]);
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** Sets up a store with an administrator's credential, which no zone holds. */
export class StoreAdmin {
  private readonly session: S3Session;
  private readonly region: string;

  constructor(config: S3Config) {
    this.session = new S3Session(config);
    this.region = config.region;
  }

  /** `STORE_CONFLICT` when the bucket exists. */
  async createBucket(name: string, { objectLock, versioning }: BucketSettings): Promise<void> {
    const created = await this.session.text({
      method: 'PUT',
      bucket: name,
      headers: objectLock ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {},
      // us-east-1 is the one region that S3 refuses to be told.
      body: this.region === 'us-east-1' ? '' : locationXml(this.region),
    });
    if (ALREADY.has(created.code))
      throw new CustodyError('STORE_CONFLICT', `the bucket ${name} exists already`, { details: { bucket: name } });
    if (created.status !== 200) throw failure(`create the bucket ${name}`, created);
    if (!versioning || objectLock) return;
    const body = versioningXml('Enabled');
    const query = { versioning: '' };
    const answer = await this.session.text({ method: 'PUT', bucket: name, query, headers: checksum(body), body });
    if (answer.status !== 200) throw failure(`version the bucket ${name}`, answer);
  }

  /** Creates the bucket, or makes sure that the one there has these settings. True when it was created. */
  async ensureBucket(name: string, settings: BucketSettings): Promise<boolean> {
    try {
      await this.createBucket(name, settings);
      return true;
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'STORE_CONFLICT') throw error;
    }
    const found = await this.settings(name);
    if (settings.objectLock && !(found.objectLock && found.versioning))
      throw new CustodyError(
        'STORE_NOT_WORM',
        `the bucket ${name} exists without Object Lock, which can only be chosen at creation: remove it or use another`,
        { details: { bucket: name } },
      );
    if (found.objectLock !== settings.objectLock || found.versioning !== (settings.versioning || settings.objectLock))
      throw new CustodyError('CONFIG_INVALID', `the bucket ${name} exists with other settings for locks or versions`, {
        details: { bucket: name, objectLock: found.objectLock, versioning: found.versioning },
      });
    return false;
  }

  async settings(name: string): Promise<BucketSettings> {
    const versions = await this.session.text({ method: 'GET', bucket: name, query: { versioning: '' } });
    if (versions.status !== 200) throw failure(`look at the bucket ${name}`, versions);
    const lock = await this.session.text({ method: 'GET', bucket: name, query: { 'object-lock': '' } });
    if (lock.status !== 200 && lock.code !== 'ObjectLockConfigurationNotFoundError')
      throw failure(`look at the Object Lock of ${name}`, lock);
    return {
      objectLock: lock.status === 200 && textOf(lock.text, 'ObjectLockEnabled') === 'Enabled',
      versioning: textOf(versions.text, 'Status') === 'Enabled',
    };
  }

  /** Makes the account, or gives it this secret. An account may do nothing until it is granted something. versitygw. */
  async ensureAccount(accessKey: string, secretKey: string): Promise<void> {
    const secret = escapeXml(secretKey);
    const created = await this.session.text({
      method: 'PATCH',
      // The admin API has a bucket's place in the path.
      bucket: 'create-user',
      body: `<Account><Access>${escapeXml(accessKey)}</Access><Secret>${secret}</Secret><Role>user</Role></Account>`,
    });
    if (created.status === 201) return;
    if (created.status !== 409) throw failure(`create the account ${accessKey}`, created);
    const updated = await this.session.text({
      method: 'PATCH',
      bucket: 'update-user',
      query: { access: accessKey },
      body: `<MutableProps><Secret>${secret}</Secret></MutableProps>`,
    });
    if (updated.status !== 200) throw failure(`change the secret of the account ${accessKey}`, updated);
  }

  /**
   * Replaces who may do what in a bucket. Names accounts by access key, as versitygw does; other stores keep this
   * outside the bucket, and take the same actions from their own administrator.
   */
  async grant(bucket: string, grants: readonly Grant[]): Promise<void> {
    const body = policyOf(bucket, grants);
    const query = { policy: '' };
    const answer = await this.session.text({ method: 'PUT', bucket, query, headers: checksum(body), body });
    if (answer.status !== 200 && answer.status !== 204) throw failure(`grant access to the bucket ${bucket}`, answer);
  }
}
