import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const SOURCES = [
  'domain/errors.ts',
  'domain/digest.ts',
  'formats/json.ts',
  'formats/printable.ts',
  'formats/sha256.ts',
  'formats/safetensors.ts',
  ...['assets', 'dataset', 'hyperparameters', 'mlp', 'model-card', 'random', 'release', 'train'].map(
    (name) => `examples/digits/${name}.ts`,
  ),
];

/** Puts the compiled training script under `folder`/dist, as `npm run build` lays it out; answers `folder`. */
export async function compileForSandbox(folder: string): Promise<string> {
  for (const source of SOURCES) {
    const { outputText } = ts.transpileModule(await readFile(source, 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    const target = join(folder, 'dist', source.replace(/\.ts$/, '.js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, outputText);
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  return folder;
}
