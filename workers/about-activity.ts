import { asyncLocalStorage, type Context } from '@temporalio/activity';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';

/** The request that an activity is about, where it is about one. */
const requests = new WeakMap<Context, string>();

/** Learns which request each activity is about, for whatever it logs. */
export const knowsRequest: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    execute: (input, next) => {
      const requestId = requestIdOf(input.args);
      if (requestId !== null) requests.set(context, requestId);
      return next(input);
    },
  },
  // The SDK's own lines have everything else.
  outbound: { getLogAttributes: (attributes, next) => next({ ...attributes, ...requestOf(context) }) },
});

/** What each line that is logged within an activity says of it. */
export function aboutActivity(): Readonly<Record<string, unknown>> {
  const context = asyncLocalStorage.getStore();
  if (context === undefined) return {};
  const { workflowExecution, activityId, activityType, attempt } = context.info;
  return { ...workflowExecution, activityId, activityType, attempt, ...requestOf(context) };
}

function requestOf(context: Context): { readonly requestId?: string } {
  const requestId = requests.get(context);
  return requestId === undefined ? {} : { requestId };
}

/** An open gate, which says the request it is open for, or something that holds one. */
function requestIdOf(args: readonly unknown[]): string | null {
  const held = args.filter(isObject);
  for (const value of [...held, ...held.flatMap((each) => Object.values(each).filter(isObject))])
    if (typeof value['requestId'] === 'string') return value['requestId'].slice(0, 200);
  return null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
