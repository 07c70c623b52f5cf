// Control and bidirectional characters could hide or forge what people read.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Somebody else's text, made inert for the markdown of the Temporal UI; at most `limit` characters. */
export function inert(text: string, limit = 200): string {
  // Never half a character: a surrogate alone is no text.
  const clipped = text.length > limit ? `${text.slice(0, limit).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return (
    clipped
      .replace(HIDDEN, ' ')
      .replace(/[\\|<>[\]`*_~&]/g, (character) => `\\${character}`)
      // An address is a link without any brackets, too.
      .replace(/:(?=\/\/)|(?<=www)\./gi, (character) => `\\${character}`)
  );
}
