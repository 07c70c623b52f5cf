import type { Severity } from '../domain/alert.js';
import { Counter, Gauge, Registry } from 'prom-client';

export interface ApiMetrics {
  answered(route: string, status: number): void;
  refused(code: string): void;
  issued(requester: string): void;
  signedAlert(severity: Severity): void;
  askedIssuer(outcome: 'ok' | 'failed'): void;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
}

/** Labels are routes, codes and ids of the policy: nothing that a caller writes. */
export function createMetrics(policyVersion: () => number | null): ApiMetrics {
  const registers = [new Registry()];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name: `custody_api_${name}`, help, labelNames, registers });
  const answered = counter('answers_total', 'Answers, by route and status', ['route', 'status']);
  const refused = counter('refusals_total', 'Calls that were refused, by error code', ['code']);
  const issued = counter('requests_issued_total', 'Requests signed, by requester', ['requester']);
  const alerts = counter('alerts_signed_total', 'Alerts signed and handed on, by severity', ['severity']);
  const asked = counter('issuer_fetches_total', 'Times that an issuer was asked for its keys', ['outcome']);
  new Gauge({
    name: 'custody_api_policy_version',
    help: 'Version of the newest policy delivered; 0 before the first',
    registers,
    collect() {
      this.set(policyVersion() ?? 0);
    },
  });
  return {
    answered: (route, status) => answered.inc({ route, status: String(status) }),
    refused: (code) => refused.inc({ code }),
    issued: (requester) => issued.inc({ requester }),
    signedAlert: (severity) => alerts.inc({ severity }),
    askedIssuer: (outcome) => asked.inc({ outcome }),
    text: async () => (await Promise.all(registers.map((registry) => registry.metrics()))).join('\n'),
  };
}
