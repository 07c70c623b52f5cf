import { describe, expect, it } from 'vitest';
import { workflowBundle } from '../../support/temporal.js';

describe('the workflow bundle', () => {
  it('builds, and holds nothing that is not deterministic', async () => {
    const { code } = await workflowBundle();
    for (const name of ['lifecycle', 'endpoint', 'training']) expect(code).toContain(`./workflows/${name}.ts`);
    const forbidden = [
      ...[
        /node_modules\/zod\//,
        /node_modules\/minio\//,
        /node_modules\/pino\//,
        /@temporalio\/(client|worker|activity)\//,
      ],
      ...[/external "(node:)?(fs|crypto|http|net|child_process|os|path)"/, /require\(["']node:/],
      // A workflow knows the shape of its activities, and none of their code.
      ...[/"\.\/activities\//, /"\.\/adapters\//, /"\.\/formats\//],
    ];
    for (const pattern of forbidden) expect(code).not.toMatch(pattern);
  });
});
