import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { ReleaseDescription } from '../adapters/source/pack.js';
import { CustodyError } from '../domain/errors.js';
import { COMPONENT_KINDS } from '../domain/manifest.js';
import { checkShape, parseJson } from '../formats/json.js';

const schema = z.object({
  components: z
    .array(
      z.strictObject({
        name: z.string(),
        kind: z.enum(COMPONENT_KINDS),
        version: z.string().exactOptional(),
        files: z.array(z.string()).min(1),
      }),
    )
    .min(1),
  serving: z.strictObject({ protocol: z.literal('open-inference-v2'), command: z.array(z.string()).min(1) }),
});

/** Reads the parts of a release and how it is served: a file of its own, or a trainer's, which says the same. */
export function readComponents(file: string): Pick<ReleaseDescription, 'components' | 'serving'> {
  if (!existsSync(file)) throw new CustodyError('INPUT_MISSING', `there is no file ${file}`);
  return checkShape(schema, parseJson(readFileSync(file), file), file);
}
