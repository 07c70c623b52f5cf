import { defaultPayloadConverter, type PayloadConverter } from '@temporalio/common';
import { isTooDeep } from '../domain/depth.js';

/** What stands for a message that cannot be read: of no message's shape, so that it is refused and audited as any other. */
const UNREADABLE = Object.freeze({ unreadable: true });

/**
 * Reads what others send to a workflow, which begins again for ever with a task in which reading failed. What our own
 * activities answer can be read.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value, context) => defaultPayloadConverter.toPayload(value, context),
  fromPayload: <T>(...[payload, context]: Parameters<PayloadConverter['fromPayload']>): T => {
    if (context?.type === 'activity') return defaultPayloadConverter.fromPayload<T>(payload, context);
    try {
      const value = defaultPayloadConverter.fromPayload<T>(payload, context);
      return isTooDeep(value) ? (UNREADABLE as T) : value;
    } catch {
      return UNREADABLE as T; // Whatever is wrong with it, whoever looks for a message in it finds none.
    }
  },
};
