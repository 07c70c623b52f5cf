import type { Digest } from '../domain/digest.js';
import { settle, type Inbox } from './inbox.js';
import { control, refusalOf } from './zones.js';

type Taken = ReturnType<Inbox['take']>;

/** Messages that nothing waits for: audited as refused, and only then answered. */
export async function refuseAll(model: string, items: Taken, reason: string): Promise<void> {
  if (items.length === 0) return;
  await control.refuse({ model, decisions: items.map((item) => item.decision), reason });
  settle(
    items,
    items.map(() => ({ accepted: false, code: 'POLICY_REFUSED', reason })),
  );
}

/** Acts on one message and gives it its verdict: what the act says, or the refusal it met. */
export async function answering(items: Taken, act: () => Promise<{ by: string; statement: Digest }>): Promise<void> {
  try {
    const done = await act();
    settle(
      items,
      items.map(() => ({ accepted: true, ...done })),
    );
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) throw error;
    settle(
      items,
      items.map(() => ({ accepted: false, ...refusal })),
    );
  }
}
