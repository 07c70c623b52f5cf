import { randomBytes } from 'node:crypto';
import type { LifecycleControl } from '../activities/contract.js';
import type { NoticeStanding, Progress } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import type { SignedEnvelope } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { sha256 } from '../formats/sha256.js';

const DAY = 86_400;
const NOTICE_DAYS = 365;
const REMIND_DAYS = 30;

type Answers = Pick<LifecycleControl, 'resumeLifecycle' | 'followNotice' | 'answerNotice'>;

/** What control answers of releases whose retirement was agreed to and whose notice of a year has just begun; it keeps nothing. */
export const answers: Answers = {
  resumeLifecycle: async (name) => progressOf(name),
  followNotice: async (_name, _release, { retiresAt }) => standing(retiresAt, ['checkout', 'billing']),
  answerNotice: async (_name, _release, { retiresAt }, decisions) => ({
    verdicts: decisions.map(({ message }) => ({ accepted: true, by: 'carol', statement: sha256(message) })),
    ...standing(retiresAt, ['billing']),
  }),
};

/** As large as a signed statement is in life. */
export function envelope(): SignedEnvelope {
  return {
    payloadType: 'application/vnd.in-toto+json',
    payload: randomBytes(600).toString('base64'),
    signatures: [{ keyid: sha256('key'), sig: randomBytes(64).toString('base64') }],
  };
}

/** All that the records say of such a release. */
function progressOf({ model, version }: ReleaseName): Progress {
  const digest = (what: string): string => sha256(`${model} ${version} ${what}`);
  const after = (days: number): string => isoTime(Date.now() + days * DAY * 1000);
  const asked = { request: digest('deploy'), approvals: [digest('first'), digest('second')] };
  const source = `file:///releases/${model}-${version}`;
  return {
    admission: {
      ...{ request: digest('start'), requester: 'ci', policy: digest('policy'), source },
      ...{ bundle: `${source}.sigstore`, provenance: `${source}.provenance.json` },
    },
    ingested: {
      ...{ release: digest('release'), producer: 'ci', files: 5, bytes: 1e9, bundle: digest('bundle') },
      ...{ provenance: digest('provenance'), scan: digest('scan'), change: digest('change') },
    },
    validated: { testResult: digest('test result'), passed: 20, failed: [], accuracy: 0.97 },
    gate: {
      ...{ request: asked.request, requestId: 'f47ac10b-58cc-4372-a567-0e02b2c3d479', role: 'release-approver' },
      ...{ count: 2, expiresAt: after(1), envelope: envelope() },
    },
    approved: { ...asked, approvers: ['alice', 'bob'] },
    signed: { signature: digest('signature') },
    rollout: { kind: 'promoted', revision: 7 },
    retirement: { ...asked, notice: digest('notice'), retiresAt: after(NOTICE_DAYS) },
  };
}

function standing(endsAt: string, awaited: readonly string[]): NoticeStanding {
  return { awaited, endsAt, lookAt: isoTime(Date.parse(endsAt) - REMIND_DAYS * DAY * 1000) };
}
