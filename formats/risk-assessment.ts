import { z } from 'zod';
import type { RiskAssessment } from '../domain/provisional-predicates.js';
import { readYaml } from './yaml.js';

const text = z
  .string()
  .max(4000)
  .refine((said) => said.trim().length >= 10, 'say it in a sentence or more');
const list = z.array(text).min(1).max(50);

export const riskAssessmentSchema: z.ZodType<RiskAssessment> = z.strictObject({
  what: text,
  whyNow: text,
  risks: list,
  mitigations: list,
  rollbackPlan: text,
});

/** Reads the YAML that people write. CONFIG_INVALID names file, line and path of everything that does not fit. */
export function parseRiskAssessment(yaml: string, file: string): RiskAssessment {
  return readYaml(riskAssessmentSchema, yaml, file).value;
}
