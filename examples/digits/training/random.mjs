/**
 * A seeded source of numbers, uniform in [0, 1): mulberry32 by Tommy Ettinger. Not for secrets.
 * @param {number} seed
 * @returns {() => number}
 */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The numbers 0..count-1 in an order that the source decides (Fisher-Yates).
 * @param {number} count
 * @param {() => number} random
 */
export function shuffledIndices(count, random) {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const kept = /** @type {number} */ (order[last]);
    order[last] = /** @type {number} */ (order[other]);
    order[other] = kept;
  }
  return order;
}
