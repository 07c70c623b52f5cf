import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runGit } from '../../../adapters/git/git.js';
import { noteReview, reviewCode, signCommit, treeOf } from '../../../client/code.js';
import type { Bench } from '../harness.js';

/** Where the prompts of the chat model are: theo writes them, rita reviews. */
export class PromptRepository {
  readonly folder: string;
  readonly #bench: Bench;

  private constructor(folder: string, bench: Bench) {
    this.folder = folder;
    this.#bench = bench;
  }

  /** With the prompts of this folder in `prompts/`. */
  static async make(folder: string, bench: Bench, prompts: readonly string[]): Promise<PromptRepository> {
    const made = new PromptRepository(folder, bench);
    mkdirSync(made.prompts, { recursive: true });
    await runGit(['init', '--quiet', '--template=', '--initial-branch=main'], { cwd: folder });
    for (const from of prompts) cpSync(from, join(made.prompts, from.split('/').at(-1) ?? ''));
    return made;
  }

  get prompts(): string {
    return join(this.folder, 'prompts');
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.prompts, name), text);
  }

  /** Everything there is now, signed by its author. */
  async commit(): Promise<string> {
    const who = ['-c', 'user.name=theo', '-c', 'user.email=theo@localhost', '-c', 'commit.gpgsign=false'];
    await runGit(['add', '--all'], { cwd: this.folder });
    await runGit([...who, 'commit', '--quiet', '--no-verify', '--message', 'prompts'], { cwd: this.folder });
    return signCommit(this.folder, this.#bench.key('theo'));
  }

  async review(commit: string): Promise<void> {
    const said = { repository: 'lingo', commit, decision: 'approve', reason: 'it stays in its role' } as const;
    const rita = await this.#bench.signer('rita');
    await noteReview(this.folder, commit, reviewCode(rita, said, await treeOf(this.folder, commit)), 'rita');
  }
}
