import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runGit } from '../../../adapters/git/git.js';
import { commitOf, noteReview, reviewCode, signCommit, treeOf } from '../../../client/code.js';
import { readKey } from '../../../client/init.js';
import { replaceFile } from '../../../client/files.js';
import { digitsFolder } from '../assets.js';
import { signer, type Scene } from './scene.js';

const REPOSITORY = 'digits';
const AUTHOR = 'theo';
const REVIEWER = 'rita';

/** The training code is in git, and reviewed by somebody else than its author; answers the commit that trainings name. */
export async function reviewed(scene: Scene): Promise<string> {
  const { narrator, stack } = scene;
  narrator.step('The training code is in git, and somebody who did not write it has reviewed it');
  const folder = stack.layout.path('repositories', REPOSITORY);
  const done = join(folder, '.git', 'custody-story');
  if (existsSync(done)) return readFileSync(done, 'utf8');
  // What a telling that was ended in the middle has left: nobody has used it.
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(digitsFolder(), 'training'), stack.layout.folder('repositories', REPOSITORY), { recursive: true });
  const who = ['-c', `user.name=${AUTHOR}`, '-c', `user.email=${AUTHOR}@localhost`, '-c', 'commit.gpgsign=false'];
  await runGit(['init', '--quiet', '--template=', '--initial-branch=main'], { cwd: folder });
  await runGit(['add', '--all'], { cwd: folder });
  await runGit([...who, 'commit', '--quiet', '--no-verify', '--message', 'A digit classifier'], { cwd: folder });
  const commit = await signCommit(folder, readKey(stack.layout.key(AUTHOR)));
  narrator.decided(AUTHOR, `commits and signs ${commit.slice(0, 12)}`);
  const tree = await treeOf(folder, await commitOf(folder, 'main'));
  const reason = 'the split is fixed, and nothing is read but the images';
  const said = { repository: REPOSITORY, commit, decision: 'approve', reason } as const;
  const rita = await signer(scene, REVIEWER);
  await noteReview(folder, commit, reviewCode(rita, said, tree), REVIEWER);
  narrator.decided(REVIEWER, `has read its ${tree.files.length} files, and approves of them: “${reason}”`);
  replaceFile(done, commit);
  return commit;
}
