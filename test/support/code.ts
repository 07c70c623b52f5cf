import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { noteReview, reviewCode, signCommit, treeOf, type Review } from '../../client/code.js';
import type { SigningKey } from '../../formats/keys.js';
import { signerIn } from './data.js';
import type { KeyName, World } from './world.js';

type Files = Readonly<Record<string, string | { readonly link: string } | { readonly script: string } | null>>;

/** A real repository, with a working copy, as people of the world work in it. */
export class Repository {
  readonly folder: string;
  readonly #world: World;

  private constructor(folder: string, world: World) {
    this.folder = folder;
    this.#world = world;
  }

  static async make(world: World): Promise<Repository> {
    const made = new Repository(await mkdtemp(join(tmpdir(), 'custody-repository-')), world);
    await made.git('init', '--quiet', '--initial-branch=main');
    for (const [name, value] of Object.entries({ 'user.name': 'Somebody', 'user.email': 'somebody@example.org' }))
      await made.git('config', name, value);
    return made;
  }

  /** Everybody's own configuration of this host is left out. */
  async git(...args: readonly string[]): Promise<string> {
    const env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
    return (await execa('git', args, { cwd: this.folder, env })).stdout;
  }

  write(files: Files): void {
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.folder, path);
      rmSync(file, { recursive: true, force: true });
      mkdirSync(dirname(file), { recursive: true });
      if (typeof content === 'string') writeFileSync(file, content);
      else if (content !== null && 'link' in content) symlinkSync(content.link, file);
      else if (content !== null) {
        writeFileSync(file, content.script);
        chmodSync(file, 0o755);
      }
    }
  }

  /** `null`: nobody signs it. */
  async commit(files: Files, by: KeyName | SigningKey | null = 'rita', message = 'a change'): Promise<string> {
    this.write(files);
    await this.git('add', '--all');
    await this.git('commit', '--quiet', '--allow-empty', '--message', message);
    return this.sign(by);
  }

  async sign(by: KeyName | SigningKey | null): Promise<string> {
    if (by === null) return this.head();
    return signCommit(this.folder, typeof by === 'string' ? this.#world.keys[by] : by);
  }

  head(): Promise<string> {
    return this.git('rev-parse', 'HEAD');
  }

  async review(by: KeyName, commit: string, change: Partial<Review> = {}): Promise<void> {
    const review = { repository: 'digits', commit, decision: 'approve', reason: 'it reads well', ...change } as const;
    const statement = reviewCode(signerIn(this.#world, by), review, await treeOf(this.folder, commit));
    await noteReview(this.folder, commit, statement, by);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
