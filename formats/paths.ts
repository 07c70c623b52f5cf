// Line and paragraph separators, and what turns the direction of text or takes no space.
const INVISIBLE = /[\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

/** Why a path cannot stand in a release, or `null`: as `oddPath`, and nothing of version control. */
export function unsafePath(path: string): string | null {
  const isGits = path.split('/').some((part) => part.toLowerCase().startsWith('.git'));
  return oddPath(path) ?? (isGits ? 'version-control files are not part of a release' : null);
}

/** Why nothing may have this path, or `null`. Separators are `/`; nothing may climb, hide or be read two ways. */
export function oddPath(path: string): string | null {
  if (path.length === 0 || Buffer.byteLength(path) > 1024) return 'its name is empty or longer than 1,024 bytes';
  if (path.normalize('NFC') !== path) return 'its name is not in Unicode normal form C';
  if (/[\p{Cc}\\:]/u.test(path)) return 'its name holds a control character, a backslash or a colon';
  if (INVISIBLE.test(path)) return 'its name holds an invisible character, which could hide what it is';
  const parts = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) return 'its name climbs or is absolute';
  return null;
}
