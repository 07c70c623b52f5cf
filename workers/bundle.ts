import { bundleWorkflowCode, type BundleOptions, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { existsSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The workflows as one bundle. All runs of a worker share one copy of our modules, frozen, which keep no state: a run that
 * waits takes half the memory that it takes with a copy of its own.
 */
export function bundleWorkflows(
  workflowsPath: string,
  { interceptors = [], ...options }: Pick<BundleOptions, 'logger'> & { readonly interceptors?: readonly string[] } = {},
): Promise<WorkflowBundleWithSourceMap> {
  const all = [pathOf('reserved'), ...interceptors];
  return bundleWorkflowCode({
    workflowsPath,
    payloadConverterPath: pathOf('payloads'),
    workflowInterceptorModules: all,
    preloadModules: [workflowsPath, ...all],
    ...options,
  });
}

/** What every bundle has, so that no message keeps a workflow from going on. */
function pathOf(module: 'payloads' | 'reserved'): string {
  return fileURLToPath(new URL(`../workflows/${module}${extname(import.meta.url)}`, import.meta.url));
}

/** The bundled workflows as they are, and those that carry traces on. */
export const BUNDLES = { plain: 'workflow-bundle.js', traced: 'workflow-bundle-traced.js' } as const;

/** Where `npm run build` puts the bundled workflows: beside the compiled code, however this module itself is run. */
export function bundlePath(bundle: keyof typeof BUNDLES = 'plain'): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const compiled = join(here, '..', BUNDLES[bundle]);
  return existsSync(compiled) ? compiled : join(here, '..', 'dist', BUNDLES[bundle]);
}
