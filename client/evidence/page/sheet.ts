import { escaped } from '../../../formats/markup.js';
import { STYLE } from './style.js';

/** A page that loads nothing and runs nothing. `head`, `sections` and `footer` are markup, `title` is text. */
export function sheet(of: {
  readonly title: string;
  readonly head: string;
  readonly sections: readonly string[];
  readonly footer: string;
}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>${escaped(of.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<div class="sheet">
${of.head}
<main>
${of.sections.join('\n')}
</main>
<footer>${of.footer}</footer>
</div>
</body>
</html>
`;
}
