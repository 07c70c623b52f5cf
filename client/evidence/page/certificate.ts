import type { CertificateCheck, Gone } from '../../../domain/certificate.js';
import { escaped } from '../../../formats/markup.js';
import { sheet } from './sheet.js';
import { more, shownTime, tag, type Mark } from './words.js';

type Said = Gone['certificate']['predicate'];

const TRIED: Readonly<Record<Said['probes'][number]['kind'], string>> = {
  'vault key': 'reading its key in the vault',
  ciphertext: 'reading the ciphertext in the store',
  port: 'reaching its model server',
  copy: 'finding a copy on a serving host',
  loader: 'loading and starting it',
  'vault open': 'having the vault open its keys',
  gateway: 'being served by a gateway',
};

/** A certificate of destruction for people: one page that loads nothing and runs nothing, of what was found in the file. */
export function renderCertificate(gone: Gone, checks: readonly CertificateCheck[]): string {
  const { model, version } = gone.certificate.predicate;
  return sheet({
    title: `${model} ${version}: certificate of destruction`,
    head: head(gone, checks),
    sections: [
      agreement(gone),
      told(gone),
      destroyed(gone.certificate.predicate),
      tried(gone.certificate.predicate),
      remains(gone.certificate.predicate),
      checked(checks),
    ],
    footer: `This page is made of the certificate’s file and proves nothing by itself. Whoever doubts it takes that file, and the pinned root of the environment from somewhere he trusts, and runs <code>custody certificate verify</code>: every signature and every rule is checked again, without this stack. What no signature can show is that nobody copied a key while there was one.`,
  });
}

function head({ certificate }: Gone, checks: readonly CertificateCheck[]): string {
  const said = certificate.predicate;
  const failing = checks.filter(({ permission }) => !permission.allowed);
  const verdict = failing.length === 0 ? 'It is gone, and all that shows it holds' : 'This certificate does not hold';
  const why =
    failing.length === 0
      ? `${said.destroyed.length} keys destroyed, ${said.probes.length} tries afterwards, each refused`
      : failing.map(({ name }) => name).join(', ');
  const facts: readonly (readonly [string, string])[] = [
    ['Environment', escaped(said.environment)],
    ['Release digest', `<code>${escaped(certificate.subject)}</code>`],
    ['Destroyed at', `${shownTime(said.destroyedAt)} UTC`],
    ['Ordered by', escaped(said.orderedBy)],
    ['Agreed to by', escaped(said.approvedBy.join(', '))],
    ['Certified by', escaped(certificate.signers.join(', '))],
    ['Verified by', escaped(said.probed.map(({ zone, by }) => `${by} (${zone})`).join(', '))],
    ['Standard', escaped(said.standard)],
    ['Method', escaped(`${said.sanitization}, by ${said.method}`)],
    ['Copies on hosts', escaped(`${said.cachesSanitization}, by ${said.cachesMethod}`)],
    ['Media', escaped(said.media)],
    ['Tool', escaped(said.tool)],
    ['Verification', escaped(said.verification)],
    ['Certificate', `<code>${escaped(certificate.digest)}</code>`],
  ];
  return `<header>
<p class="eyebrow">Certificate of destruction</p>
<h1>${escaped(said.model)} <span class="version">${escaped(said.version)}</span></h1>
<p class="verdict${failing.length === 0 ? '' : ' bad'}"><strong>${escaped(verdict)}</strong><span>${escaped(why)}</span></p>
<dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join('')}</dl>
</header>`;
}

function agreement({ retirement, revocation }: Gone): string {
  const { request, approvals } = retirement;
  const { action, requester, issuedAt } = request.predicate;
  const asked = action.kind === 'retire' ? action.reason : '';
  const rows = [
    event(issuedAt, requester, 'asked for its end', asked),
    ...approvals.map(({ predicate, signers }) =>
      event(
        predicate.issuedAt,
        signers.join(', '),
        predicate.decision === 'approve' ? 'agreed' : 'refused',
        predicate.reason,
      ),
    ),
    event(revocation.predicate.issuedAt, revocation.signers.join(', '), 'revoked it', revocation.predicate.reason),
  ];
  return `<section id="agreement"><h2>Who asked, and who agreed</h2>
<p class="lead">Each is a signed statement, and known by the key that signed it. Times in UTC.</p>
<ul class="rows events">${rows.join('\n')}</ul></section>`;
}

function told({ retirement }: Gone): string {
  const notices = [...(retirement.notice === null ? [] : [retirement.notice]), ...retirement.laterNotices];
  const answers = [
    ...retirement.acknowledgements.map((each) => ({ ...each, says: 'has taken note', why: '' })),
    ...retirement.waivers.map((each) => ({ ...each, says: 'was answered for', why: each.predicate.reason })),
  ];
  const row = (consumer: (typeof notices)[number]['predicate']['consumers'][number], at: string): string => {
    const answer = answers.find(({ predicate }) => predicate.consumer === consumer.id);
    const said =
      answer === undefined
        ? 'has not answered'
        : `${answer.says}: ${answer.signers.join(', ')}${answer.why === '' ? '' : `, ${answer.why}`}`;
    const by = {
      mail: 'by mail',
      webhook: 'by webhook',
      none: 'by no way: none is known',
      failed: 'by no way that took it',
    };
    const owner = consumer.owner === null ? 'nobody has declared it' : `owner ${consumer.owner}`;
    return event(
      at,
      consumer.id,
      `told ${by[consumer.how]}`,
      `${owner}, ${consumer.criticality ?? 'no criticality'} · ${said}`,
    );
  };
  const rows = notices.flatMap(({ predicate }) => predicate.consumers.map((each) => row(each, predicate.issuedAt)));
  const list = rows.length === 0 ? '<p>Nobody depended on it.</p>' : `<ul class="rows events">${rows.join('\n')}</ul>`;
  const until = retirement.notice?.predicate.retiresAt;
  const period = until === undefined ? '' : ` The period of the first notice ended at ${shownTime(until)}.`;
  return `<section id="told"><h2>Who was told</h2><p class="lead">Whoever depended on it, and what they answered.${period}</p>${list}</section>`;
}

function destroyed({ destroyed: gone, kept }: Said): string {
  const rows = gone.map(
    ({ path, sha256, blob }) =>
      `<tr><td>${escaped(path)}</td><td><code>${escaped(sha256)}</code></td><td class="hide-small"><code>${escaped(blob)}</code></td></tr>`,
  );
  const keptRows = kept.map(
    ({ path, sha256, holders }) =>
      `<tr><td>${escaped(path)}</td><td><code>${escaped(sha256)}</code></td><td class="hide-small"><code>${escaped(holders.join(', '))}</code></td></tr>`,
  );
  const table = (last: string, all: readonly string[]): string =>
    `<table><thead><tr><th>file</th><th>SHA-256 of its content</th><th class="hide-small">${last}</th></tr></thead><tbody>${all.join('\n')}</tbody></table>`;
  const others =
    kept.length === 0 ? '' : `<h3>Kept, because other releases hold the same bytes</h3>${table('held by', keptRows)}`;
  return `<section id="destroyed"><h2>What was destroyed</h2>
<p class="lead">The only key of each file. Without it nobody can read what the store still has of it.</p>
${gone.length === 0 ? '<p>No key: other releases hold every file.</p>' : table('blob', rows)}${others}</section>`;
}

function tried({ probes }: Said): string {
  const mark = (refused: boolean): string => (refused ? tag('good', 'refused') : tag('bad', 'not refused'));
  const rows = probes.map(
    ({ zone, kind, path, refused, answer }) =>
      `<tr><td class="short">${escaped(zone)}</td><td>${escaped(TRIED[kind])}${more(escaped(path))}</td><td>${mark(refused)}</td><td>${escaped(answer)}</td></tr>`,
  );
  return `<section id="tried"><h2>What was tried afterwards</h2>
<p class="lead">Each zone tried to get at it by every way that it has, and has signed what it was answered.</p>
<table><thead><tr><th>zone</th><th>tried</th><th></th><th>answer</th></tr></thead><tbody>${rows.join('\n')}</tbody></table></section>`;
}

function remains({ remains: left, residual }: Said): string {
  const rows = left.map(
    ({ blob, size, until }) =>
      `<tr><td><code>${escaped(blob)}</code></td><td class="number">${size}</td><td class="short">${shownTime(until)}</td></tr>`,
  );
  const table =
    left.length === 0
      ? '<p>No ciphertext.</p>'
      : `<table><thead><tr><th>ciphertext that no key opens</th><th class="number">bytes</th><th>locked until</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
  const copies = residual.map(
    ({ what, where }) => `<li><p>${escaped(what)}</p><p><code>${escaped(where)}</code></p></li>`,
  );
  const others =
    copies.length === 0
      ? ''
      : `<h3>Copies that are not Custody’s to destroy</h3><ul class="rows">${copies.join('\n')}</ul>`;
  return `<section id="remains"><h2>What remains</h2>
<p class="lead">And until when. Manifest, statements and log stay as long as their retention: they hold no byte of a file.</p>
${table}${others}</section>`;
}

function checked(checks: readonly CertificateCheck[]): string {
  const rows = checks.map(({ name, permission, says }) => {
    const mark: Mark = permission.allowed ? 'good' : 'bad';
    const text = permission.allowed ? says : `${permission.code}: ${permission.reason}`;
    return `<li><p class="key">${escaped(name)}</p><p>${tag(mark, permission.allowed ? 'holds' : 'fails')}</p><p>${escaped(text)}</p></li>`;
  });
  return `<section id="checks"><h2>What was checked to make this page</h2>
<ul class="rows checks">${rows.join('\n')}</ul></section>`;
}

function event(at: string, who: string, did: string, why: string): string {
  return `<li><p class="when">${shownTime(at)}</p><div><p><span class="key">${escaped(who)}</span> ${escaped(did)}</p>${more(escaped(why))}</div></li>`;
}
