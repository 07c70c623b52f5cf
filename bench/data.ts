import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demandData, listData } from '../adapters/source/data.js';
import { encodeFileList } from '../formats/file-list.js';
import { inTurns, round, say, seconds } from './measure.js';

/**
 * How fast training data are compared with what was signed for, beside hashing them alone: `sha256sum --check` of the same list,
 * in turns, with warm files. Ratios above one are in Custody's favour. Usage: data [files] [bytes of each]
 */
const count = Number(process.argv[2] ?? 100_000);
const size = Number(process.argv[3] ?? 4096);
const REPEATS = 5;
const IN_A_FOLDER = 1000;

const root = await mkdtemp(join(tmpdir(), 'custody-bench-'));
const [folder, list] = [join(root, 'data'), join(root, 'list')];
try {
  for (let at = 0; at < count; at += 1) {
    const part = join(folder, `part-${Math.floor(at / IN_A_FOLDER)}`);
    if (at % IN_A_FOLDER === 0) await mkdir(part, { recursive: true });
    await writeFile(join(part, `${at}.bin`), randomBytes(size));
  }
  const { files } = await listData(folder);
  await writeFile(list, encodeFileList(files));
  const took = await inTurns(REPEATS, {
    custody: () => seconds(() => demandData(folder, files)),
    sha256sum: () =>
      seconds(async () => execFileSync('sha256sum', ['--check', '--status', '--strict', list], { cwd: folder })),
  });
  say({ files: count, bytesOfEach: size, seconds: took, ratio: round(took.sha256sum / took.custody) });
} finally {
  await rm(root, { recursive: true, force: true });
}
