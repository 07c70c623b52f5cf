import type * as Audit from '../../../client/audit.js';
import type { AuditRecord } from '../../../domain/audit.js';
import type * as SceneModule from '../../../examples/digits/story/scene.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { SHIPPED_VERSIONS } from '../../../examples/digits/ship.js';
import { load } from './product.js';

const { auditLog, readWhole } = await load<typeof Audit>('client/audit.js');
const { signer, MODEL } = await load<typeof SceneModule>('examples/digits/story/scene.js');

/** What a story leaves behind that must not depend on who died meanwhile: no digest, no time, nothing read. */
export interface Projection {
  /** `<change> <version>` in the order in which the changes took effect. */
  readonly changes: readonly string[];
  /** `<change> <version> <weight>, ...` of each routing revision. */
  readonly routes: readonly string[];
  /** What was signed for good, by kind. */
  readonly statements: Readonly<Record<string, number>>;
  readonly records: readonly string[];
  /** How each release has ended. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** Who was written to, once for each letter. */
  readonly letters: readonly string[];
  readonly nonces: number;
  readonly blobs: number;
  readonly revocations: number;
  readonly kills: number;
}

/** Says what happened around the story, or how often it was looked at; two runs may differ in it. */
const ASIDE: ReadonlySet<string> = new Set(['log.read', 'load.refused', 'service.breached', 'locks.extended']);
const READ = 'audit-question';

export async function project(scene: SceneModule.Scene): Promise<Projection> {
  const { custody } = scene;
  const { records } = custody;
  const { bucket } = records;
  const keys = async (prefix: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const key of bucket.list(prefix)) found.push(key);
    return found;
  };
  const log = await readLog(scene);
  const statements: Record<string, number> = {};
  for (const key of await keys('statements/')) {
    const kind = kindOf(await text(key));
    statements[kind] = (statements[kind] ?? 0) + 1;
  }
  const routes: string[] = [];
  for (const key of await keys(`routes/${MODEL}/`)) {
    const document = (await records.find('route', key))?.verified.predicate;
    const releases = document?.releases.map(({ version, weight }) => `${version} ${weight} %`) ?? [];
    routes.push(`${document?.revision} ${document?.change}: ${releases.join(', ')}`);
  }
  const questions = statements[READ] ?? 0;
  return {
    changes: log
      .filter(({ change }) => !ASIDE.has(change))
      .map(({ change, subject }) => `${change} ${subject.version ?? '-'}`),
    routes,
    statements: Object.fromEntries(Object.entries(statements).filter(([kind]) => !['incident', READ].includes(kind))),
    // A digest of what was signed anew is another one each time.
    records: (await keys(`records/${MODEL}/`)).map((key) => key.replace(/[0-9a-f]{64}$/, '…')).sort(),
    outcomes: await outcomes(),
    letters: scene.mailbox.letters.map(({ to }) => to).sort(),
    nonces: (await keys('nonces/')).length - questions,
    blobs: (await keys('blobs/')).length,
    revocations: (await keys('revocations/')).length,
    kills: (await keys(`kills/${MODEL}/`)).length,
  };

  async function outcomes(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const version of SHIPPED_VERSIONS) {
      const outcome = (await records.record(storeKeys.record({ model: MODEL, version }, 'outcome'))) as {
        kind: string;
      } | null;
      found[version] = outcome?.kind ?? 'in service';
    }
    return found;
  }

  async function text(key: string): Promise<string> {
    const stored = await bucket.read(key);
    if (stored === null) throw new Error(`${key} is gone`);
    return stored.body.toString('utf8');
  }
}

/** Each record once, in the order of effect: what lowers exposure acts first and is written down after. */
export async function readLog(scene: SceneModule.Scene): Promise<readonly AuditRecord[]> {
  const ada = await signer(scene, 'ada');
  const log = await readWhole(await auditLog(scene.custody, ada));
  const first = new Map<string, AuditRecord>();
  for (const record of log.records) if (!first.has(record.id)) first.set(record.id, record);
  return [...first.values()].sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

/** The last part of the predicate type; what is signed otherwise is a bundle, and what is no JSON object a document. */
function kindOf(text: string): string {
  if (!text.startsWith('{')) return 'document';
  const { payload, dsseEnvelope } = JSON.parse(text) as { payload?: string; dsseEnvelope?: { payload: string } };
  const signed = payload ?? dsseEnvelope?.payload;
  if (signed === undefined) return 'document';
  const { predicateType } = JSON.parse(Buffer.from(signed, 'base64').toString('utf8')) as { predicateType: string };
  return predicateType.replace(/^urn:custody:predicate:(.*):v1$/, '$1');
}
