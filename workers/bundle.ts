import { bundleWorkflowCode, type BundleOptions, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The workflows as one bundle. All runs of a worker share one copy of our modules, frozen, which keep no state: a run that
 * waits takes half the memory that it takes with a copy of its own.
 */
export function bundleWorkflows(
  workflowsPath: string,
  options: Pick<BundleOptions, 'logger'> = {},
): Promise<WorkflowBundleWithSourceMap> {
  return bundleWorkflowCode({ workflowsPath, preloadModules: [workflowsPath], ...options });
}

/** Where `npm run build` puts the bundled workflows: beside the compiled code, however this module itself is run. */
export function bundlePath(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const compiled = join(here, '..', 'workflow-bundle.js');
  return existsSync(compiled) ? compiled : join(here, '..', 'dist', 'workflow-bundle.js');
}
