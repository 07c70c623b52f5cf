/** Whether what was read from JSON lies deeper than `most` within itself: JSON is read to any depth, and written to no more than the stack has. */
export function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return most === 0 || Object.values(value).some((each) => isDeeper(each, most - 1));
}
