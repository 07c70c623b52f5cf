import { z } from 'zod';
import { readDestination } from '../domain/destinations.js';
import { isModelName, isVersion } from '../domain/names.js';
import { isIsoTime } from '../domain/time.js';

/** What the statements of every kind are made of. */
export const time = z.string().refine(isIsoTime, 'expected a time like 2026-01-31T12:00:00.000Z');
export const id = z.string().min(1).max(200);
export const nonce = z.string().regex(/^[A-Za-z0-9_-]{16,64}$/, 'expected 16 to 64 URL-safe characters');
export const environment = z.string().regex(/^[a-z][a-z0-9-]{0,15}$/);
export const model = z.string().refine(isModelName, 'not a model name');
export const version = z.string().refine(isVersion, 'not SemVer');
export const count = z.int().min(0);

export const destinations = z
  .array(
    z
      .string()
      .refine(
        (text) => readDestination(text) !== null,
        'expected host:port, in lower case, addresses in their shortest form',
      ),
  )
  .min(1)
  .max(100)
  .refine((all) => new Set(all).size === all.length, 'a destination stands there twice');
