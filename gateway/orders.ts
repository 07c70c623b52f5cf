import type { Digest } from '../domain/digest.js';
import type { RoutingDocument } from '../domain/routing.js';

/** Whether the document lifts the order, and will say so for as long as the order could be replayed. */
export function lifts(document: RoutingDocument | undefined, order: Digest, expiresAt: string | null): boolean {
  const entry = document?.lifted.find((lifted) => lifted.order === order);
  return entry !== undefined && (expiresAt === null || Date.parse(entry.until) >= Date.parse(expiresAt));
}
