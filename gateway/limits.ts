import { z } from 'zod';

const ms = z.int().min(1).max(86_400_000);

/** What one caller may ask of this process. */
export const limitsSchema = z.strictObject({
  maxHeaderBytes: z
    .int()
    .min(1024)
    .max(1_048_576)
    .default(16 * 1024),
  maxBodyBytes: z
    .int()
    .min(0)
    .max(1_073_741_824)
    .default(8 * 1024 * 1024),
  /** A caller must have sent its headers, and its whole request, by then. */
  headersMs: ms.default(10_000),
  requestMs: ms.default(60_000),
  /** A replica, and a caller who takes an answer, may be silent for this long. */
  silenceMs: ms.default(60_000),
  maxConnections: z.int().min(1).max(1_000_000).default(10_000),
  /** A connection is closed after so many. */
  maxRequestsPerConnection: z.int().min(1).max(1_000_000_000).default(100_000),
  /** Answers under way have this long to end once the process is to stop. */
  drainMs: ms.default(8_000),
});

export type Limits = z.infer<typeof limitsSchema>;

export const LIMITS: Limits = limitsSchema.parse({});
