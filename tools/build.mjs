// Installs the dependencies and compiles, each only when its inputs have changed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, SetupError, digestOf, run, say } from './lib.mjs';

const SOURCES = [
  'domain',
  'formats',
  'workflows',
  'activities',
  'adapters',
  'workers',
  'gateway',
  'vault',
  'api',
  'client',
  'examples',
  'bench',
];

function stamped(stamp, digest) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;
}

export async function install() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 20))
    throw new SetupError(`Custody needs Node 20.20 or newer; this is ${process.versions.node}.`, 2);
  const stamp = join(ROOT, 'node_modules', '.custody-stamp');
  const digest = digestOf(join(ROOT, 'package-lock.json'));
  if (stamped(stamp, digest)) return;
  say('  installing the dependencies …');
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, digest);
}

function digestOfSources() {
  const hash = createHash('sha256');
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else hash.update(path).update(String(statSync(path).mtimeMs));
    }
  };
  for (const folder of SOURCES) if (existsSync(join(ROOT, folder))) visit(join(ROOT, folder));
  for (const file of ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])
    hash.update(readFileSync(join(ROOT, file)));
  return hash.digest('hex');
}

/** `found` names the servers by their variables: `custody dev` looks there when nothing else names them. */
export async function build(found) {
  const stamp = join(ROOT, 'dist', '.custody-stamp');
  const digest = digestOfSources();
  if (!stamped(stamp, digest)) {
    say('  compiling …');
    await run('npm', ['run', '--silent', 'build']);
    mkdirSync(join(ROOT, 'dist'), { recursive: true });
    writeFileSync(stamp, digest);
  }
  writeFileSync(join(ROOT, 'dist', 'servers.json'), JSON.stringify(found));
}
