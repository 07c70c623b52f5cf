import { connect } from 'node:net';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import type { Digest } from '../../domain/digest.js';
import type { Probe } from '../../domain/ending-predicates.js';
import { CustodyError } from '../../domain/errors.js';
import type { ReleaseName } from '../../domain/names.js';
import { parseManifest } from '../../formats/manifest.js';
import { gatherRelease, progressOf } from '../dossier.js';
import type { Records } from '../records.js';
import { decrypting, isRefusal, refusedWith } from '../probes.js';
import { discard } from './load.js';
import { HOST, STOP_WITHIN_MS } from './model-server.js';
import { Replica, type ReplicaHost } from './replica.js';

const CONNECT_MS = 1000;

/** Whether anything answers where the release answered before: `former` is that port, where this process has stopped it. */
export async function tryPort(isSupervised: boolean, former: number | null): Promise<Probe> {
  const probe = { kind: 'port', path: former === null ? HOST : `${HOST}:${former}` } as const;
  if (isSupervised) return { ...probe, refused: false, answer: 'this host still runs it' };
  if (former === null)
    return {
      ...probe,
      refused: true,
      answer: 'this host runs no model server of it, and has stopped none since it began',
    };
  const answers = await isListening(former);
  return answers
    ? { ...probe, refused: false, answer: 'something answers there' }
    : { ...probe, refused: true, answer: 'its model server was stopped: nobody answers there' };
}

/** Whether anything of a copy lies among those of this host: finished, unfinished, or on its way out. */
export async function findCopy(releases: string, release: Digest): Promise<Probe> {
  const found = (await readdir(releases)).filter((name) => name.includes(release));
  const answer = found.length === 0 ? 'this host has no copy of it, nor a part of one' : `${found.join(', ')} is there`;
  return { kind: 'copy', path: `releases/${release}`, refused: found.length === 0, answer };
}

/** Of a release that was stopped before anybody approved it: there is nothing to load it with, or to ask the vault with. */
export async function neverApproved(records: Records, name: ReleaseName): Promise<readonly Probe[] | null> {
  const { approved } = await progressOf(records, name);
  if (approved !== undefined) return null;
  const path = `${name.model} ${name.version}`;
  const said = { path, refused: true, answer: 'nobody has ever approved it: it was never loaded, and cannot be' };
  return [
    { kind: 'loader', ...said },
    { kind: 'vault open', ...said },
  ];
}

/**
 * What comes of starting a release, by all the steps of any start. It is nobody's incident when this is refused; what is not
 * refused is stopped again.
 */
export async function tryLoader(host: ReplicaHost, name: ReleaseName, release: Digest): Promise<Probe> {
  const probe = { kind: 'loader', path: `${name.model} ${name.version}` } as const;
  const incidents = { loadRefused: async () => undefined };
  const replica = new Replica({ ...host, incidents }, name, release);
  try {
    await replica.start(() => {});
    return { ...probe, refused: false, answer: 'it was loaded and has answered' };
  } catch (error) {
    if (isRefusal(error)) return { ...probe, ...refusedWith(error) };
    throw error;
  } finally {
    await replica.stop(STOP_WITHIN_MS);
    await discard(host.releases, release);
  }
}

/** What comes of asking the vault for the keys, with all the evidence that there is. */
export async function tryVault({ deps, statuses }: ReplicaHost, name: ReleaseName): Promise<Probe> {
  const { records, vault } = deps;
  const probe = { kind: 'vault open', path: `${name.model} ${name.version}` } as const;
  try {
    const status = await statuses.newest();
    const evidence = await gatherRelease(records, name, status?.envelope ?? null);
    const { files } = parseManifest(Buffer.from(evidence.manifest, 'utf8'));
    const opened = await vault.open([...new Set(files.map(({ sha256 }) => sha256))], evidence);
    try {
      const readable = await decrypting(records.bucket, opened);
      const so = readable === null ? 'none of which opens anything' : `and the file ${readable} can be read with one`;
      return { ...probe, refused: false, answer: `the vault hands out ${opened.length} keys, ${so}` };
    } finally {
      for (const { key } of opened) key.fill(0);
    }
  } catch (error) {
    if (isRefusal(error)) return { ...probe, ...refusedWith(error) };
    throw error;
  }
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: HOST, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_MS) });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') return false;
    throw new CustodyError('PENDING', `port ${port} neither answers nor refuses`, { cause: error });
  } finally {
    socket.destroy();
  }
}
