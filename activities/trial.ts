import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../adapters/model-server/command-run.js';
import { startIsolated, type IsolatedServer } from '../adapters/model-server/isolated.js';
import { runSuite } from '../adapters/model-server/suite-run.js';
import { removeTree } from '../adapters/sandbox/outputs.js';
import type { SandboxLimits } from '../adapters/sandbox/port.js';
import { CustodyError } from '../domain/errors.js';
import type { Isolation } from '../domain/isolation.js';
import type { Manifest } from '../domain/manifest.js';
import { alike, COMMAND_CASE, type SuiteRun } from '../domain/suite.js';
import type { Measure } from './measure.js';

export interface Trial {
  readonly manifest: Manifest;
  /** A copy of the release, every byte checked. */
  readonly copy: string;
  /** The texts of its prompts; `null` for one that is too large to be looked for. */
  readonly prompts: readonly (string | null)[];
  /** A private folder with a short path. */
  readonly folder: string;
  readonly isolation: Isolation;
  readonly limits: SandboxLimits;
  readonly signal: AbortSignal;
  readonly onCase: () => void;
}

/**
 * Runs one suite against a server that was started for it, so that no suite meets what another one left behind. A candidate
 * that does not even start, or speaks another protocol than the suite, has not been tried: there is nothing to weigh.
 */
export async function tryMeasure(trial: Trial, measure: Measure): Promise<SuiteRun> {
  const { suite, data } = measure;
  const { model, version, serving } = trial.manifest;
  if (suite.protocol !== serving.protocol)
    return untried(measure, `the suite speaks ${suite.protocol}, the release ${serving.protocol}`);
  const isText = typeof data?.rows[0]?.values === 'string';
  if (data !== null && isText !== (suite.protocol === 'openai-chat'))
    return untried(measure, `its labelled data are not for ${suite.protocol}`);
  const work = await mkdtemp(join(trial.folder, 's-'));
  const { prompts, isolation, limits, signal, onCase } = trial;
  try {
    let server: IsolatedServer;
    try {
      const { command, protocol } = serving;
      const candidate = { release: trial.copy, command, protocol, model, version };
      server = await startIsolated({ ...candidate, work, limits, isolation, signal });
    } catch (error) {
      if (!(error instanceof CustodyError) || error.code !== 'MODEL_SERVER_FAILED') throw error;
      return untried(measure, error.message);
    }
    try {
      if (suite.command === undefined) return await runSuite(server, measure, { model, prompts }, { signal, onCase });
      const { files } = measure;
      return {
        cases: await runCommand(server, suite.command, { files, model, work, isolation, signal }),
        labelled: null,
      };
    } finally {
      await server.stop();
    }
  } finally {
    await removeTree(work);
  }
}

function untried({ suite, data }: Measure, why: string): SuiteRun {
  const verdict = 'inconclusive' as const;
  const { command } = suite;
  const own = command === undefined ? [] : [{ id: COMMAND_CASE, kind: command.kind, weight: 1, verdict, failure: why }];
  const labelled =
    data === null ? null : { right: 0, rows: data.rows.length, groups: {}, untried: data.rows.length, unanswered: why };
  return { cases: [...alike(suite.cases, verdict, why), ...own], labelled };
}
