// What only the experiments need: servers whose clock can be moved, a Temporal cluster, PostgreSQL for it, and the last version.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, ROOT, SetupError, run, say } from './lib.mjs';
import { LIBRARIES, SERVERS, findOrBuild, hasDebian, missingOf, named, unpack } from './servers.mjs';

const CLUSTER = {
  CUSTODY_TEMPORAL_SERVER: {
    name: 'temporal-server',
    what: 'the Temporal server of a cluster',
    module: 'go.temporal.io/server/cmd/server',
    takes: 'about four minutes, once',
  },
  CUSTODY_TEMPORAL_SQL: {
    name: 'temporal-sql-tool',
    folder: 'temporal-server',
    what: 'what makes its tables',
    module: 'go.temporal.io/server/cmd/tools/sql',
    takes: 'about a minute, once',
  },
};

const NOW = 'func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n';

/**
 * Go asks no libc for the time, so no library put before it can say another: the servers are built with a package `time` that
 * can. The same sources otherwise, of the same versions.
 */
async function movedClocks() {
  const overlay = await movedTime();
  const found = {};
  for (const [variable, server] of Object.entries(SERVERS)) {
    const moved = { ...server, name: `${server.name}-moved`, folder: server.name, accepts: null };
    found[`${variable}_MOVED`] = await findOrBuild(`${variable}_MOVED`, moved, overlay);
  }
  return found;
}

async function movedTime() {
  const added = join(ROOT, 'tools', 'clock', 'moved.go');
  const given = join((await run('go', ['env', 'GOROOT'])).trim(), 'src', 'time');
  const source = readFileSync(join(given, 'time.go'), 'utf8');
  if (!source.includes(NOW)) throw new SetupError('time.Now of this Go is not known: tools/clock was made for Go 1.26');
  const folder = join(CACHE, 'clock');
  mkdirSync(folder, { recursive: true });
  const [changed, overlay] = [join(folder, 'time.go'), join(folder, 'overlay.json')];
  writeFileSync(changed, source.replace(NOW, `${NOW}\tsec += moved()\n`));
  writeFileSync(
    overlay,
    JSON.stringify({ Replace: { [join(given, 'time.go')]: changed, [join(given, 'moved.go')]: added } }),
  );
  return { flags: ['-overlay', overlay], files: [added] };
}

/** The library that gives another time to whoever asks libc. */
async function faketime() {
  const given = named('CUSTODY_FAKETIME');
  if (given !== null) return given;
  const library = join(LIBRARIES, 'faketime', 'libfaketimeMT.so.1');
  const installed = join('/', library);
  if (existsSync(installed)) return installed;
  const folder = join(CACHE, 'servers', 'libfaketime-debian');
  const cached = join(folder, library);
  if (existsSync(cached)) return cached;
  needDebian('libfaketime', 'CUSTODY_FAKETIME');
  say('  fetching libfaketime from Debian: some seconds, once …');
  await unpack(folder, ['libfaketime']);
  return cached;
}

/** A folder with `initdb` and `postgres`, which find what they need from there. */
async function postgresql() {
  const given = named('CUSTODY_POSTGRESQL');
  if (given !== null) return given;
  const installed = binIn('/');
  if (installed !== null) return installed;
  const folder = join(CACHE, 'servers', 'postgresql-debian');
  const cached = binIn(folder);
  if (cached !== null) return cached;
  needDebian('PostgreSQL', 'CUSTODY_POSTGRESQL');
  say('  fetching PostgreSQL from Debian: half a minute, once …');
  await unpack(folder, await missingOf('postgresql'));
  return binIn(folder);
}

/** Of the newest version that lies there, by Debian's order of folders. */
function binIn(root) {
  const versions = join(root, 'usr', 'lib', 'postgresql');
  if (!existsSync(versions)) return null;
  const newest = readdirSync(versions).sort((a, b) => Number(b) - Number(a));
  const found = newest.map((version) => join(versions, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
  return found ?? null;
}

function needDebian(what, variable) {
  if (!hasDebian()) throw new SetupError(`The experiments need ${what}: install it, or name it in ${variable}.`);
}

/** What runs before an upgrade to this: a commit of this repository. */
const LAST = 'c7738862eea4f0715a8615a70042de3b03123758';

/** A folder with the version before this one, compiled from the repository's history. */
async function lastVersion() {
  const given = named('CUSTODY_LAST_VERSION');
  if (given !== null) return given;
  const folder = join(CACHE, 'versions', LAST.slice(0, 16));
  if (existsSync(join(folder, 'dist', 'client', 'main.js'))) return folder;
  say('  building the version before this one: about two minutes, once …');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const packed = join(folder, 'sources.tar');
  await run('git', ['archive', '--output', packed, LAST]);
  await run('tar', ['-xf', packed, '-C', folder]);
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder });
  await run('npm', ['run', '--silent', 'build'], { cwd: folder });
  return folder;
}

/** By the environment variables that name them. */
export async function reliabilityServers() {
  const found = {
    CUSTODY_FAKETIME: await faketime(),
    CUSTODY_POSTGRESQL: await postgresql(),
    CUSTODY_LAST_VERSION: await lastVersion(),
    ...(await movedClocks()),
  };
  for (const [variable, server] of Object.entries(CLUSTER))
    found[variable] = await findOrBuild(variable, { ...server, accepts: null });
  return found;
}
