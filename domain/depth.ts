/** Objects and arrays inside one another: far more than anything has that we read or send. */
export const MAX_JSON_DEPTH = 64;

/** Whether it lies deeper within itself: what others read for us goes as deep as it likes, and is written to no more than the stack has. */
export function isTooDeep(value: unknown, most = MAX_JSON_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some((each) => isTooDeep(each, most - 1));
}
