import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CustodyError } from '../../domain/errors.js';
import { replaceFile } from '../files.js';
import type { Layout } from './layout.js';
import type { StackOptions } from './stack.js';

/** What a development stack is set up with: the digits example, its suite, its trainer, and an empty directory of mail. */
export function digitsStack(layout: Layout, smtp: string): Omit<StackOptions, 'say' | 'ports'> {
  const folder = exampleFolder();
  const directory = layout.path('directory.json');
  if (!existsSync(directory)) {
    layout.folder();
    replaceFile(directory, JSON.stringify({ consumers: {} }));
  }
  return {
    state: layout.state,
    suite: join(folder, 'suite.yaml'),
    documents: [join(folder, 'data', 'held-out.json')],
    trainers: { digits: join(folder, 'trainer.json') },
    repositories: { digits: layout.path('repositories', 'digits') },
    mail: { smtp, from: 'custody@localhost', directory },
  };
}

export function exampleFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, 'examples', 'digits');
    if (existsSync(join(candidate, 'data', 'digits', 'digits.csv.gz'))) return candidate;
    const parent = dirname(folder);
    if (parent === folder) throw new CustodyError('INPUT_MISSING', 'the digits example is not beside this program');
    folder = parent;
  }
}
