import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { evidenceOf } from '../../client/evidence/gather.js';
import type { Evidence } from '../../client/evidence/model.js';
import { renderPage } from '../../client/evidence/page/page.js';
import { Browser } from '../support/browser.js';
import { NAME, publishedLog, releaseInService, storeOf } from '../support/evidence.js';

const folder = mkdtempSync(join(tmpdir(), 'custody-page-'));
const WIDTHS = [1440, 390] as const;
/** What somebody may write who wants to break out of the page, or out of its width. */
const HOSTILE = `</p><script>document.title='taken'</script><img src=x onerror="document.title='taken'">${'w'.repeat(400)}\u202e`;

let browser: Browser;
let evidence: Evidence;

beforeAll(async () => {
  browser = await Browser.start();
  const inService = releaseInService();
  const { log } = await publishedLog(inService.records);
  const entries = [];
  for await (const entry of log.records()) entries.push(entry);
  const sources = { records: await storeOf(inService), log: { ...log.checkpoint, entries }, by: 'ada' };
  ({ evidence } = await evidenceOf(sources, NAME));
});
afterAll(async () => {
  await browser?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function written(name: string, page: string): string {
  writeFileSync(join(folder, name), page);
  return pathToFileURL(join(folder, name)).href;
}

const COUNTS = { version: HOSTILE, requests: 123_456, failures: 99_999, slow: 99_999 };
const FAILED = { verdict: 'fail', reason: HOSTILE, statement: 'a'.repeat(64) } as const;
const JUDGED = { ...FAILED, own: COUNTS, beside: [COUNTS] };

/** The same with others' words, long and hostile, wherever others have a say. */
function hostile(): Evidence {
  return {
    ...evidence,
    timeline: evidence.timeline.map((event) => ({ ...event, reason: HOSTILE, actor: HOSTILE })),
    decisions: evidence.decisions.map((decision) => ({ ...decision, says: HOSTILE, subject: HOSTILE, who: HOSTILE })),
    lines: evidence.lines.map((line) => ({ ...line, says: HOSTILE })),
    cases: [{ id: HOSTILE, failure: HOSTILE }],
    quorums: evidence.quorums.map((quorum) => ({ ...quorum, act: HOSTILE, people: [HOSTILE] })),
    steps: evidence.steps.map((step) => ({ ...step, others: [{ version: HOSTILE, weight: 0 }], judged: JUDGED })),
    requirements: evidence.requirements.map((each) => ({ ...each, says: HOSTILE, checked: HOSTILE })),
  };
}

describe.each(WIDTHS)('the page in a real browser, %i pixels wide', (width) => {
  test.each([
    ['as it is', () => evidence],
    ['with hostile words in it', hostile],
  ])('%s: fits, asks the network for nothing and runs nothing', async (name, given) => {
    const url = written(`${name}.html`, renderPage(given()));
    browser.requested.length = 0;
    await browser.open(url, width);
    expect(await browser.evaluate('document.documentElement.scrollWidth')).toBe(width);
    const wider = `[...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > ${width} + 0.5).map((each) => each.outerHTML.slice(0, 80))`;
    expect(await browser.evaluate(wider)).toEqual([]);
    expect(await browser.evaluate('document.title')).toBe('digits 1.0.0: evidence');
    expect(await browser.evaluate("document.querySelectorAll('script, img, iframe, link').length")).toBe(0);
    expect(await browser.evaluate("getComputedStyle(document.querySelector('.verdict')).display")).toBe('flex');
    expect(browser.requested).toEqual([url]);
  });
});

test('attack: what somebody adds to the page is neither run nor loaded', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const there = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const more = `<script>document.title = 'taken'</script><img src="${there}/image"><link rel="stylesheet" href="${there}/style"><iframe src="${there}/frame"></iframe>`;
    await browser.open(written('added.html', renderPage(evidence).replace('</main>', `${more}</main>`)), 1440);
    expect(await browser.evaluate('document.title')).toBe('digits 1.0.0: evidence');
    expect(asked).toEqual([]);
    // Without its policy the same page would have asked: so the server would have heard it.
    const open = renderPage(evidence).replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '');
    await browser.open(written('open.html', open.replace('</main>', `${more}</main>`)), 1440);
    expect(asked).toEqual(expect.arrayContaining(['/image', '/style', '/frame']));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test('prints on paper, in the size of paper', async () => {
  await browser.open(written('printed.html', renderPage(evidence)), 1440);
  const { data } = await browser.ask('Page.printToPDF', { preferCSSPageSize: true });
  const pdf = Buffer.from(String(data), 'base64').toString('latin1');
  expect(pdf.startsWith('%PDF-')).toBe(true);
  expect(pdf).toMatch(/\/MediaBox \[0 0 59[45](\.\d+)? 84[12](\.\d+)?\]/);
});
