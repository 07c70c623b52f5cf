import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflows } from './bundle.js';

const workflowsPath = fileURLToPath(new URL('../workflows/index.js', import.meta.url));
const { code } = await bundleWorkflows(workflowsPath);
writeFileSync(join(import.meta.dirname, '..', 'workflow-bundle.js'), code);
