import { gatherCertificate } from '../../../adapters/certificate.js';
import { gatherRelease, newestStatus } from '../../../adapters/dossier.js';
import { createVaultClient } from '../../../adapters/vault/client.js';
import { askProved, auditLog, readWhole } from '../../../client/audit.js';
import { renderCertificate } from '../../../client/evidence/page/certificate.js';
import { replaceFile } from '../../../client/files.js';
import { lifecycleStatus, outcomeOf } from '../../../client/messages.js';
import { requestRetirement } from '../../../client/requests.js';
import { uiAddress } from '../../../client/start.js';
import { servedBy } from '../../../client/state.js';
import { certificateHolds } from '../../../domain/certificate.js';
import { CustodyError, isPermanent } from '../../../domain/errors.js';
import { lifecycleId } from '../../../domain/names.js';
import { StateIndex } from '../../../domain/state.js';
import { isoTime } from '../../../domain/time.js';
import { verifyCertificate } from '../../../formats/certificate.js';
import { approve, eventually, hasPassed, MODEL, NotYet, openGate, signer, tell, type Scene } from './scene.js';

const RETIRED = { model: MODEL, version: '1.0.0' };

/** Asked for, agreed to by two, told to everyone, waited out, revoked, destroyed, proved. */
export async function retire(scene: Scene): Promise<void> {
  const { narrator, custody, mailbox, stack } = scene;
  narrator.step('1.0.0 is retired: notice, notice period, revocation, key destruction, certificate');
  const { progress, stage, gate } = await eventually('its status', () => lifecycleStatus(custody, RETIRED));
  const release = progress.ingested?.release ?? '';
  const { newest } = await eventually('the policy', () => custody.records.policies());
  const asked = { release, reason: '1.1.0 has taken its place', noticeSeconds: newest.retirement.noticeSeconds };
  if (stage === 'in service' && gate === null) {
    const within = newest.approvals.retire.withinSeconds;
    const request = requestRetirement(await signer(scene, 'otto'), RETIRED, asked, within);
    await tell(scene, lifecycleId(RETIRED), 'retire', request);
    narrator.decided('otto', `asks for its retirement: “${asked.reason}”`);
  }
  const waiting = await openGate(scene, RETIRED, 'in service');
  if (waiting !== null) {
    await approve(scene, waiting, 'alice', 'nobody is routed to it any more');
    await approve(scene, waiting, 'bob', 'agreed');
  }
  const letters = await eventually('the notices', async () => {
    const now = await lifecycleStatus(custody, RETIRED);
    if (!hasPassed(now.stage, 'in service')) throw new NotYet('the notice');
    return mailbox.letters.filter(({ subject }) => subject.includes('1.0.0'));
  });
  narrator.say(`notice received by ${letters.map(({ to }) => to).join(', ')}`);
  const outcome = await narrator.timed(`notice period of ${asked.noticeSeconds} s waited out, and the rest`, () =>
    eventually('the end of 1.0.0', () => outcomeOf(custody, RETIRED)),
  );
  if (outcome.kind !== 'retired') throw new CustodyError('INTERNAL', `1.0.0 was not retired: ${outcome.kind}`);
  const { certificate } = outcome;
  const found = await eventually('the certificate', () => custody.records.get('destruction', certificate));
  const { predicate } = found.verified;
  narrator.say(`destruction certificate ${certificate}`);
  narrator.say(`${predicate.destroyed.length} keys destroyed, ${predicate.kept.length} files kept for living releases`);
  narrator.watch(uiAddress(custody, lifecycleId(RETIRED)));
  await certified(scene);

  const file = predicate.destroyed[0];
  if (file === undefined) throw new CustodyError('INTERNAL', 'no key was destroyed');
  const evidence = await eventually('the evidence', async () =>
    gatherRelease(custody.records, RETIRED, await newestStatus(custody.records)),
  );
  const vault = createVaultClient({ open: stack.layout.path('sockets', 'vault-open', 'vault-open.sock') });
  const refused = await eventually('an answer of the vault', () =>
    vault.open({ sha256s: [file.sha256], evidence }).then(
      () => null,
      (error: unknown) => {
        // That nobody answers is no verdict.
        if (error instanceof CustodyError && !isPermanent(error.code)) throw error;
        return error;
      },
    ),
  );
  if (!(refused instanceof CustodyError)) throw new CustodyError('INTERNAL', 'a destroyed key could still be opened');
  narrator.say(`decrypting ${file.path} with every credential of serving: ${refused.code}: ${refused.message}`);
}

/** Whoever has the pinned root checks the certificate without the stack. */
async function certified({ narrator, custody, stack }: Scene): Promise<void> {
  const evidence = await eventually('the certificate', () => gatherCertificate(custody.records, RETIRED));
  const { gone, rules } = verifyCertificate(evidence, custody.records.root, isoTime(Date.now()));
  const checks = certificateHolds(gone, rules);
  for (const { name, permission, says } of checks) {
    if (!permission.allowed) throw new CustodyError(permission.code, `${name}: ${permission.reason}`);
    narrator.say(`${name}: ${says}`);
  }
  const page = stack.layout.path('certificate-digits-1.0.0.html');
  replaceFile(page, renderCertificate(gone, checks));
  narrator.say(`the certificate as a page: ${page}`);
}

/** The log is checked from its first record on, and says what was served at a time in the middle. */
export async function prove(scene: Scene): Promise<void> {
  const { narrator, custody, moments } = scene;
  narrator.step('The audit log is verified, and the state in the middle of the story reconstructed');
  const ada = await signer(scene, 'ada');
  const log = await narrator.timed('every record checked against the signed root', () =>
    eventually('the audit desk', async () => readWhole(await auditLog(custody, ada))),
  );
  narrator.say(`${log.size} records, root ${log.root}`);
  for (const [moment, at] of moments) {
    const { records } = await eventually('the audit desk', () =>
      askProved(custody, ada, { question: 'state', model: MODEL, at }),
    );
    const state = StateIndex.of(records).at(MODEL, at);
    const { releases } = await servedBy(custody.records, state);
    const serves = releases.map(({ version, weight }) => `${version} ${weight} %`).join(', ');
    narrator.say(`at ${at} (${moment}): ${state.killedBy.length > 0 ? 'killed; ' : ''}${serves}`);
  }
}
