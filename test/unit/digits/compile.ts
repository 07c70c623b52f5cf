import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import ts from 'typescript';

/** The entry and every module of ours that it imports, directly or not, so that the sandbox lacks none. */
async function sources(entry: string, found = new Map<string, string>()): Promise<Map<string, string>> {
  if (found.has(entry)) return found;
  const text = await readFile(entry, 'utf8');
  found.set(entry, text);
  for (const { fileName } of ts.preProcessFile(text).importedFiles) {
    if (fileName.startsWith('.')) await sources(join(dirname(entry), fileName.replace(/\.js$/, '.ts')), found);
  }
  return found;
}

/** Puts the compiled training script under `folder`/dist, as `npm run build` lays it out; answers `folder`. */
export async function compileForSandbox(folder: string): Promise<string> {
  for (const [source, text] of await sources('examples/digits/train.ts')) {
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    const target = join(folder, 'dist', source.replace(/\.ts$/, '.js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, outputText);
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  return folder;
}
