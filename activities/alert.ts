import { authoriseAlert, judgeAlerts, said, type Alert } from '../domain/alert.js';
import type { Digest } from '../domain/digest.js';
import { isoTime } from '../domain/time.js';
import { demand } from '../formats/evidence.js';
import { decisionSignal } from '../workflows/messages.js';
import { thisAct } from './act.js';
import type { Desk } from './control.js';
import type { EndpointControl } from './contract.js';
import { verdictOn } from './journal.js';
import { tellEndpoint } from './tell-endpoint.js';

/** What monitors say of a model: whoever they are, they can only take away what it serves. */
export function createAlerts({
  records,
  journal,
  router,
  temporal,
}: Desk): Pick<EndpointControl, 'takeAlerts' | 'noteAlerts' | 'strayAlert'> {
  return {
    strayAlert: async (model, alert) => {
      if ((await router.current(model)) !== null) {
        await tellEndpoint(temporal, model, decisionSignal('securityAlert'), alert);
        return;
      }
      const subject = { model, version: null, release: null };
      await journal.refusing({ name: 'securityAlert', envelope: alert, subject }, async () => {
        const policies = await records.usablePolicies();
        const now = isoTime(Date.now());
        const { verified } = await records.verify('alert', alert, policies, now);
        const { environment } = records;
        demand(authoriseAlert(verified, { environment, model, newest: policies.newest, now, document: null }));
      });
    },

    takeAlerts: async (model, alerts) => {
      // An alert lowers exposure: neither an expired policy nor somebody's forgery in its place keeps it from counting.
      const policies = await records.usablePolicies();
      const document = (await router.current(model))?.document ?? null;
      const now = isoTime(Date.now());
      const by = { environment: records.environment, model, newest: policies.newest, now, document };
      const act = thisAct();
      const counted = new Map<Digest, Alert>();
      const verdicts = await Promise.all(
        alerts.map(({ envelope }) =>
          verdictOn(async () => {
            const { envelope: given, verified } = await records.verify('alert', envelope, policies, now);
            demand(authoriseAlert(verified, by));
            await records.spend(verified.predicate.nonce, { statement: verified.digest, request: act });
            await records.keep(given);
            counted.set(verified.digest, verified);
            return { by: verified.signers.join(' and '), statement: verified.digest };
          }),
        ),
      );
      const noted = await journal.noteRefused(alerts, verdicts, { model, version: null, release: null });
      if (document === null) return { verdicts: noted, act: null, alarms: [] };
      const judged = judgeAlerts([...counted.values()], document);
      const alarms = judged.alarms.map((alarm) => ({
        statement: alarm.alert.digest,
        release: alarm.release,
        reason: said(alarm.alert),
      }));
      return { verdicts: noted, act: judged.act, alarms };
    },

    noteAlerts: async (model, alerts, outcome) => {
      const found = await Promise.all(alerts.map((alert) => records.get('alert', alert)));
      await journal.note(
        ...found.map(({ verified }) => ({
          change: 'alert.raised' as const,
          key: verified.digest,
          actor: { id: verified.signers.join(' and '), statement: verified.digest },
          subject: { model, version: verified.predicate.version, release: verified.predicate.release },
          after: verified.digest,
          reason: `${said(verified)}; ${outcome}`,
        })),
      );
    },
  };
}
