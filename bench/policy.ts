import { checkDecision } from '../domain/approvals.js';
import type { Authority, Policy, Role } from '../domain/policy.js';
import type { ApprovalPredicate, RequestPredicate } from '../domain/statements.js';
import { isoTime } from '../domain/time.js';
import { developmentPolicy } from '../client/init.js';
import { canonicalBytes } from '../formats/jcs.js';
import { generateKey, importPrivateKey } from '../formats/keys.js';
import { policyDigest, signPolicy, verifyPolicyChain } from '../formats/policy.js';
import { sha256 } from '../formats/sha256.js';
import { keyRing, signStatement, verifyStatement } from '../formats/statements.js';
import { say } from './measure.js';

/**
 * How long it takes to read a policy of 1,000 authorities from its signed bytes, verify it from the pinned root, build its
 * ring and check one approval: first with keys never seen before, then as every later read. Usage: policy [authorities]
 */
const AUTHORITIES = Number(process.argv[2] ?? 1000);
const people = Array.from({ length: AUTHORITIES }, () => importPrivateKey(generateKey('ed25519').privatePem));
const [root, alice] = people;
if (root === undefined || alice === undefined) throw new Error('too few authorities');

const NEEDED: readonly Role[] = ['override-authority', 'security-authority', 'reviewer', 'operator'];
const roles = (at: number): readonly Role[] =>
  at === 0 ? ['root'] : at === 1 ? ['release-approver'] : [NEEDED[at % NEEDED.length] ?? 'operator'];
const authorities = people.map(({ pem }, at): Authority => ({
  id: `person-${at}`,
  kind: 'person',
  roles: roles(at),
  keys: [{ pem }],
}));
const made = developmentPolicy('bench', authorities, [
  { suite: 'bench', version: '1.0.0', sha256: sha256('the suite'), minimumCases: 20, minimumAccuracy: 0.88 },
]);
const policy: Policy = {
  ...made,
  approvals: { ...made.approvals, retire: { ...made.approvals.retire, count: 1 } },
};
const bytes = canonicalBytes(signPolicy(policy, [root]));
const pinned = { environment: 'bench', rootKeys: [root.pem], threshold: 1 };

const times = { issuedAt: isoTime(Date.now()), expiresAt: isoTime(Date.now() + 60_000) };
const about = { requestId: 'deploy-1', nonce: 'a'.repeat(24), environment: 'bench', workflowId: 'lifecycle/m/1.0.0' };
const asked: RequestPredicate = {
  ...{ ...about, ...times, model: 'm', version: '1.0.0', release: sha256('release'), evidence: {} },
  action: {
    kind: 'deploy',
    from: { revision: 0, stable: null },
    plan: policy.rollout.steps,
    deployBefore: times.expiresAt,
  },
  ...{ policy: policyDigest(policy), requester: 'ci', producer: 'trainer' },
};
const request = { digest: sha256('request'), subject: sha256('release'), predicate: asked, signers: ['control'] };
const said: ApprovalPredicate = { ...about, ...times, decision: 'approve', reason: '' };
const approval = signStatement('approval', { name: 'deploy-1', sha256: request.digest }, said, [alice]);

/** Processor time in ms: what other processes do meanwhile does not count. */
const round = (): number => {
  const startedAt = process.cpuUsage();
  const [newest] = verifyPolicyChain(pinned, [JSON.parse(bytes.toString('utf8'))]);
  if (newest === undefined) throw new Error('no policy');
  const verified = verifyStatement(approval, 'approval', keyRing(newest));
  const decided = checkDecision({ request, quorum: newest.approvals.deploy, gate: newest, newest }, verified);
  if (!('approver' in decided)) throw new Error(decided.reason);
  const { user, system } = process.cpuUsage(startedAt);
  return Math.round((user + system) / 100) / 10;
};
const firstCpuMs = round();
const later = Array.from({ length: 20 }, round).sort((a, b) => a - b);
const result = { authorities: AUTHORITIES, kib: Math.round(bytes.length / 1024), firstCpuMs, medianCpuMs: later[10] };
say(result);
