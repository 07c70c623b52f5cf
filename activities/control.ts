import type { Client } from '@temporalio/client';
import type { StoredConsumers } from '../adapters/consumers.js';
import type { Records } from '../adapters/records.js';
import type { GatewayClient } from '../adapters/gateway/client.js';
import type { Notifier } from '../adapters/notifier.js';
import type { SigningKey } from '../formats/keys.js';
import { createAlerts } from './alert.js';
import { createCondemning } from './condemn.js';
import { createConsumers } from './consumers.js';
import { createAdmission } from './admit.js';
import type {
  ConsumerControl,
  EndpointControl,
  LifecycleControl,
  PolicyControl,
  PromotionControl,
  ResignControl,
} from './contract.js';
import type { TrainingControl } from './training-contract.js';
import { createDataDesk } from './data-desk.js';
import type { EmergencyControl } from './emergency-contract.js';
import type { DataControl } from './data-contract.js';
import { createGates } from './gate.js';
import type { Audit } from './journal.js';
import { Journal } from './journal.js';
import { createHolds } from './hold.js';
import type { HoldControl } from './keeping-contract.js';
import { createKill } from './kill.js';
import type { KillMetrics } from './kill-metrics.js';
import { createPolicies } from './policy.js';
import { createOverrides } from './override.js';
import { createProceedDesk } from './proceed.js';
import { createPromotionDesk } from './promote.js';
import { createProvisions } from './provisional.js';
import { createResignDesk } from './resign.js';
import { createNoticing } from './notice.js';
import { createRetirement } from './retire.js';
import { createRollouts } from './rollout.js';
import type { Router } from './router.js';
import { createServiceDesk } from './service.js';
import { createTrainingDesk } from './training-desk.js';
import { createVerdictDesk } from './verdict-desk.js';

export interface ControlDeps {
  readonly records: Records;
  readonly key: SigningKey;
  /** The authority id that the control key belongs to. */
  readonly id: string;
  readonly audit: Audit;
  readonly gateways: readonly GatewayClient[];
  readonly router: Router;
  readonly consumers: StoredConsumers;
  readonly temporal: Client;
  readonly notifier: Notifier;
  readonly killMetrics: KillMetrics;
  /** Reissues the status document at once, instead of at its next turn. */
  readonly reissueStatus: () => Promise<void>;
}

/** What every control activity works with. */
export interface Desk extends ControlDeps {
  readonly journal: Journal;
}

export function createControlActivities(
  deps: ControlDeps,
): LifecycleControl &
  EmergencyControl &
  EndpointControl &
  PolicyControl &
  PromotionControl &
  ResignControl &
  ConsumerControl &
  HoldControl &
  DataControl &
  TrainingControl {
  const desk: Desk = { ...deps, journal: new Journal(deps.audit) };
  return {
    ...createAdmission(desk),
    ...createGates(desk),
    ...createOverrides(desk),
    ...createProvisions(desk),
    ...createCondemning(desk),
    ...createRollouts(desk),
    ...createProceedDesk(desk),
    ...createVerdictDesk(desk),
    ...createKill(desk),
    ...createServiceDesk(desk),
    ...createAlerts(desk),
    ...createRetirement(desk),
    ...createNoticing(desk),
    ...createPolicies(desk),
    ...createResignDesk(desk),
    ...createPromotionDesk(desk),
    ...createConsumers(desk),
    ...createHolds(desk),
    ...createTrainingDesk(desk),
    ...createDataDesk(desk),
  };
}
