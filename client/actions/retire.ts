import { progressOf } from '../../adapters/dossier.js';
import type { Records } from '../../adapters/records.js';
import type { Digest } from '../../domain/digest.js';
import { CustodyError } from '../../domain/errors.js';
import { lifecycleId, parseReleaseName, type ReleaseName } from '../../domain/names.js';
import { envelopeDigest } from '../../formats/dsse.js';
import { send } from '../messages.js';
import { answer, faint } from '../output.js';
import { condemnRelease, requestRetirement } from '../requests.js';
import type { ConnectedSession } from '../session.js';
import { signerOf } from '../signer.js';
import { dependentsLines } from './shown.js';

export async function retire(
  session: ConnectedSession,
  model: string,
  version: string,
  options: { reason: string; instead?: string; notice?: string; fallback?: string; despite?: string[]; key: string },
): Promise<void> {
  const { despite } = options;
  const name = parseReleaseName(`${model}@${version}`);
  const { records } = session.custody;
  const { ingested, condemned } = await progressOf(records, name);
  if (ingested === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${model} ${version}`);
  const { newest } = await records.policies();
  const least = condemned === undefined ? newest.retirement.noticeSeconds : 0;
  const request = requestRetirement(
    await signerOf(session, options.key),
    name,
    {
      release: ingested.release,
      reason: options.reason,
      noticeSeconds: Number(options.notice ?? least),
      ...(options.instead === undefined ? {} : { instead: options.instead }),
      ...(condemned === undefined ? {} : { vulnerability: condemned.vulnerability }),
      ...(options.fallback === undefined
        ? {}
        : { fallback: await digestOf(records, { model, version: options.fallback }) }),
      ...(despite === undefined ? {} : { despite: despite.map((each) => releaseText(parseReleaseName(each))) }),
    },
    newest.approvals.retire.withinSeconds,
  );
  const receipt = await send(session.custody, lifecycleId(name), 'retire', request);
  const found = await dependentsLines(records, name, envelopeDigest(request));
  answer(session, receipt, [`asked as ${receipt.by}: custody approvals`, ...found]);
}

/** A security authority stops a release for good: nobody has to agree, and there is no way back. */
export async function condemn(
  session: ConnectedSession,
  given: string,
  options: { vulnerability: string; reason: string; key: string },
): Promise<void> {
  const name = parseReleaseName(given);
  const { ingested } = await progressOf(session.custody.records, name);
  if (ingested === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${given}`);
  const { vulnerability, reason } = options;
  const signer = await signerOf(session, options.key);
  const notice = condemnRelease(signer, { ...name, release: ingested.release }, { vulnerability, reason });
  const receipt = await send(session.custody, lifecycleId(name), 'condemn', notice);
  answer(session, receipt, [
    `${given} is stopped and is being revoked, by ${receipt.by}`,
    faint(`once its keys are to go: custody retire ${name.model} ${name.version} --reason '…' --key <file>`),
  ]);
}

async function digestOf(records: Records, name: ReleaseName): Promise<Digest> {
  const { ingested } = await progressOf(records, name);
  if (ingested === undefined) throw new CustodyError('INPUT_MISSING', `there is no release ${releaseText(name)}`);
  return ingested.release;
}

const releaseText = ({ model, version }: ReleaseName): string => `${model}@${version}`;
