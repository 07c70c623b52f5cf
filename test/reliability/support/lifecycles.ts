import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { requestTraining } from '../../../client/requests.js';
import { trainingId } from '../../../domain/names.js';
import { storeKeys } from '../../../domain/store-keys.js';
import { envelopeDigest } from '../../../formats/dsse.js';
import { newNonce, orderKill, signAlert } from '../../../formats/requests.js';
import { sha256 } from '../../../formats/sha256.js';
import {
  startAlert,
  startData,
  startDrill,
  startPolicy,
  startRetention,
  startTraining,
} from '../../../workflows/messages.js';
import type { Condemned } from '../../../domain/lifecycle.js';
import { vouched } from '../../support/data.js';
import type { People } from './people.js';
import { until } from './until.js';
import type { Source } from './release.js';
import type { Story } from './story.js';

async function serving(people: People, ...versions: readonly string[]): Promise<Source[]> {
  const made: Source[] = [];
  for (const version of versions) {
    const next = await people.asks(version);
    await people.inService(next);
    made.push(next);
  }
  return made;
}

/** A refusal that the story is about. */
async function refused(act: Promise<unknown>): Promise<void> {
  const how = await act.then(
    () => null,
    (error: unknown) => error,
  );
  if (how === null) throw new Error('it was to be refused');
}

let policies: Promise<unknown> = Promise.resolve();

/** All that is done with models, in as many stories as do not get in each other's way. */
export const STORIES = {
  /** From the request for a first release to the certificate of the second, with everything between. */
  whole: {
    tell: async ({ people }) => {
      const consumer = await people.declares();
      const [one, two] = await serving(people, '1.0.0', '1.1.0');
      const kill = await people.kills();
      await people.restores([kill]);
      await people.rollsBack(one!.release);
      await people.serves(true, one!.release);
      await people.retires(two!, consumer);
    },
  },

  /** Many stop it at once, which is sorted out first; and somebody says what nobody waits for. */
  flood: {
    tell: async ({ people, town, witness }) => {
      await serving(people, '1.0.0');
      const oscar = await people.signer('oscar');
      const orders = Array.from({ length: 12 }, (_, at) => orderKill(oscar, town.model, `the ${at}th time`));
      await Promise.all(orders.map((order) => people.handle(people.endpoint).signal('kill', order)));
      const kills = orders.map(envelopeDigest);
      for (const kill of kills) await people.everywhere(kill);
      await people.settled();
      for (const kill of kills) witness.isStopped(kill);
      await refused(people.send(people.endpoint, 'approve', orders[0]!));
      await people.restores(kills);
    },
  },

  /** What serves is condemned: stopped, revoked, and at last erased. */
  condemned: {
    tell: async ({ people, witness }) => {
      await people.declares();
      const [, two] = await serving(people, '1.0.0', '1.1.0');
      const notice = await people.condemns(two!);
      const { order } = await people.record<Condemned>(two!, 'condemned');
      if (order !== null) witness.isStopped(order);
      await people.record(two!, 'informed');
      await people.retires(two!, null, notice);
    },
  },

  /** What has failed its validation is lifted, and that is renewed. */
  overridden: {
    tell: async ({ people }) => {
      await serving(people, '1.0.0');
      const two = await people.asks('1.1.0', 'poor');
      await people.overrides(two, 3600);
      await people.inService(two);
      await people.overrides(two, 7200, 'vito');
    },
  },

  /** An emergency that reviewers reject while the log takes no record: it goes back by itself. */
  emergency: {
    tell: async ({ people, town }) => {
      const [one] = await serving(people, '1.0.0');
      const two = await people.asks('1.1.0', 'good', true);
      await people.inService(two, ['sam']);
      const review = await people.record<{ request: string }>(two, 'reviewGate');
      town.audit.isDown = true;
      const said = people.decides(`lifecycle/${town.model}/1.1.0`, review.request, ['remy'], 'reject');
      await people.serves(true, one!.release);
      town.audit.isDown = false;
      await said;
      await people.record(two, 'outcome');
    },
  },

  /** Monitors speak: of a model that has never served, and of what serves. */
  alerts: {
    tell: async ({ people, town: { model } }) => {
      const siem = await people.signer('siem');
      const said = {
        model,
        version: null,
        release: null,
        severity: 'critical',
        reason: 'x',
        nonce: newNonce(),
      } as const;
      const stray = signAlert(siem, said);
      await people.toEnd('alert', startAlert(model, envelopeDigest(stray)), [stray], 'rejected');
      const [one] = await serving(people, '1.0.0', '1.1.0');
      await people.alerts('1.1.0');
      await people.serves(true, one!.release);
    },
  },

  /** One more signature, a summary for elsewhere, data, a hold and its end, and a day's extension of locks. */
  papers: {
    tell: async ({ people, town }) => {
      const { model, folder, world } = town;
      const [one] = await serving(people, '1.0.0');
      await people.resigns(one!);
      await people.promotes(one!);
      const data = join(folder, 'data');
      await mkdir(data);
      await writeFile(join(data, 'images.csv'), '1,2,3\n');
      const { handover, statement } = await vouched(world, data, model);
      const input = { statement, handovers: [handover], folder: data };
      await people.toEnd('data', startData(model, envelopeDigest(statement)), [input], 'registered');
      const hold = await people.holds(one!);
      await people.lifts(one!, [hold]);
      await people.toEnd('retention', { ...startRetention(), workflowId: `retention/${model}` }, [], 'kept');
    },
  },

  /** The next policy. There is one workflow of that name: one town after another. */
  policy: {
    tell: ({ people, town, stage, zones }) => {
      const turn = policies.then(async () => {
        stage.add('policy', zones);
        const { envelope } = town.world.nextPolicy((policy) => ({ ...policy, rollback: { warmReleases: 1 } }));
        await people.toEnd('policy', startPolicy(2), [envelope], 'applied');
        await people.settled();
        stage.remove('policy');
      });
      policies = turn.catch(() => undefined);
      return turn;
    },
  },

  /** A training run that people agree to. */
  training: {
    tell: async ({ people, town: { model, records } }) => {
      const asked = {
        ...{ model, version: '1.0.0', run: 'run-1', trainer: 'digits', commit: 'a'.repeat(40) },
        ...{ hyperparameters: sha256('few'), data: sha256('much') },
      };
      const request = requestTraining(await people.signer('rita'), asked);
      const handle = await people.run<{ kind: string }>('training', startTraining(model, 'run-1'), [{ request }]);
      const digest = envelopeDigest(request);
      await until('the request to train', () => records.record(storeKeys.request(digest)));
      await people.decides(trainingId(model, 'run-1'), digest, ['alice']);
      const ended = await handle.result();
      if (ended.kind !== 'trained') throw new Error(`the training ended as ${JSON.stringify(ended)}`);
    },
  },

  /** Rollback, kill and restore, as the policy has them drilled. */
  drill: {
    tell: async ({ people, town: { model } }) => {
      await serving(people, '1.0.0', '1.1.0');
      await people.toEnd('drill', { ...startDrill(), workflowId: `drill/${model}` }, [], 'within');
    },
  },

  /** One of two gateways is away while it is stopped, and while it goes back. */
  dark: {
    town: {
      gateways: 2,
      policy: ({ drills, ...policy }) => ({
        ...policy,
        ...(drills === undefined ? {} : { drills: { ...drills, killMs: 2000 } }),
        emergency: { ...policy.emergency, killResponseSeconds: 2 },
      }),
    },
    tell: async ({ people, town, witness }) => {
      const [one] = await serving(people, '1.0.0', '1.1.0');
      const away = town.gateways[1]!;
      away.isDown = true;
      const kill = await people.kills();
      await people.called('confirmKill');
      away.isDown = false;
      await people.everywhere(kill);
      witness.isStopped(kill);
      await people.settled();
      await people.restores([kill]);
      away.isDown = true;
      await people.rollsBack(one!.release);
      await people.called('confirmRoute');
      away.isDown = false;
      await people.serves(true, one!.release);
    },
  },
} as const satisfies Record<string, Story>;

export type StoryName = keyof typeof STORIES;
