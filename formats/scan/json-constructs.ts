import { CustodyError } from '../../domain/errors.js';
import { lookThroughJson } from '../json.js';
import { checkObject, checkText } from './constructs.js';
import type { Report } from './reader.js';

/** The largest tokenizer.json in use have about 35 MiB. Of more, its text alone could take the memory that a scan has. */
export const MAX_JSON_DOCUMENT = 48 * 1024 * 1024;
const LIMITS = { maxBytes: MAX_JSON_DOCUMENT, maxDepth: 200, maxValues: 4_000_000 };

/** Looks for what makes a loader of this document run code. Answers why it is no JSON that can be looked through, or `null`. */
export function checkJson(document: string, report: Report): string | null {
  try {
    lookThroughJson(document, 'it', LIMITS, {
      onObject: (members, offset, under) => checkObject(members, under, offset, report),
      onText: (text, offset) => checkText(text, offset, report),
    });
    return null;
  } catch (error) {
    if (!(error instanceof CustodyError) || error.code !== 'MALFORMED') throw error;
    return error.message;
  }
}
