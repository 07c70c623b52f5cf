// The guardrails: what is refused, and how an answer is cleaned before anybody sees it.
import { readFileSync } from 'node:fs';

const LEET = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', '@': 'a', $: 's' };
/** A run of the system prompt that is too long to be chance. */
const LEAK = 24;

export function loadGuard(folder) {
  const { refusal, refuse, secrets, quoted } = JSON.parse(readFileSync(new URL('guardrails.json', folder), 'utf8'));
  const prompt = plain(readFileSync(new URL('system.txt', folder), 'utf8'));
  const rules = refuse.map((source) => new RegExp(source, 'isu'));
  const hidden = secrets.map((source) => new RegExp(source, 'gu'));
  return {
    refusal,
    refuses: (text) => readings(text).some((reading) => rules.some((rule) => rule.test(reading))),
    quote: (text) => cleaned(text, hidden, quoted),
    leaks: (answer) => leaks(plain(answer), prompt),
  };
}

/** The same text as somebody might disguise it: by look-alikes, by spaces between letters, by what cannot be seen, by base64. */
function readings(text) {
  const seen = text
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .replace(/\p{C}/gu, ' ');
  const leet = seen.replace(/[013457@$]/g, (char) => LEET[char]);
  const joined = seen.replace(/\b(\p{L})[ ._-](?=\p{L}\b)/gu, '$1');
  const decoded = [...seen.matchAll(/[A-Za-z0-9+/]{16,}={0,2}/g)].map(([found]) =>
    Buffer.from(found, 'base64').toString('utf8'),
  );
  return [seen, leet, joined, ...decoded].map((reading) => reading.replace(/\s+/g, ' '));
}

/** As text and nothing else: no markup, no control characters, nothing that looks like a secret; and not much of it. */
function cleaned(text, hidden, length) {
  const visible = text.normalize('NFKC').replace(/[\p{C}\u2028\u2029]/gu, ' ');
  const safe = hidden.reduce((left, secret) => left.replace(secret, '(removed)'), visible);
  return safe
    .replace(/[<>&"'`*_[\](){}!|\\#~]/g, ' ')
    .replace(/\b(?:https?|javascript|data|file|vbscript):\S*/giu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, length);
}

function leaks(answer, prompt) {
  for (let at = 0; at + LEAK <= prompt.length; at += 1) if (answer.includes(prompt.slice(at, at + LEAK))) return true;
  return false;
}

function plain(text) {
  return text.toLowerCase().replace(/\s+/g, ' ').trim();
}
