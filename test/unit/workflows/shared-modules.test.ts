import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

/** Our modules that the workflows are made of: all runs of a worker share one copy of each. */
function closure(entry: string, found = new Map<string, ts.SourceFile>()): ReadonlyMap<string, ts.SourceFile> {
  if (found.has(entry)) return found;
  const source = parsed(entry, readFileSync(entry, 'utf8'));
  found.set(entry, source);
  for (const { fileName } of ts.preProcessFile(source.text).importedFiles) {
    const path = join(dirname(entry), fileName.replace(/\.js$/, '.ts'));
    if (fileName.startsWith('.') && existsSync(path)) closure(path, found);
  }
  return found;
}

const parsed = (name: string, text: string): ts.SourceFile =>
  ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, true);

/** What a module keeps, by its own top level: a run would find what another one has left there. */
function stateOf(source: ts.SourceFile): string[] {
  const found: string[] = [];
  const look = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return;
    if (ts.isPropertyDeclaration(node) && !isStatic(node)) return;
    if (ts.isPropertyDeclaration(node) && !isReadonly(node)) found.push(`static ${node.name.getText()}`);
    if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.Const) === 0) found.push(node.getText());
    if (ts.isNewExpression(node) && KEEPERS.test(node.expression.getText())) found.push(node.getText());
    if (ts.isRegularExpressionLiteral(node) && /[gy]/.test(node.text.replace(/^.*\//s, '')) && isExported(node))
      found.push(node.text);
    ts.forEachChild(node, look);
  };
  ts.forEachChild(source, look);
  return found;
}

const KEEPERS = /^(Weak)?(Map|Set)$/;
const isStatic = (node: ts.PropertyDeclaration) =>
  ts.getModifiers(node)?.some(is(ts.SyntaxKind.StaticKeyword)) === true;
const isReadonly = (node: ts.PropertyDeclaration) =>
  ts.getModifiers(node)?.some(is(ts.SyntaxKind.ReadonlyKeyword)) === true;
const is = (kind: ts.SyntaxKind) => (modifier: ts.Modifier) => modifier.kind === kind;

function isExported(node: ts.Node): boolean {
  const statement = ts.findAncestor(node, ts.isVariableStatement);
  return (statement !== undefined && ts.getModifiers(statement)?.some(is(ts.SyntaxKind.ExportKeyword))) === true;
}

test('no module that workflows are made of keeps anything between two runs', () => {
  const modules = closure(join('workflows', 'traces.ts'), new Map(closure(join('workflows', 'index.ts'))));
  expect(modules.size).toBeGreaterThan(40);
  const kept = [...modules].flatMap(([name, source]) => stateOf(source).map((what) => `${name}: ${what}`));
  expect(kept).toEqual([]);
});

test.each([
  'let count = 0;',
  'const seen = new Map<string, number>();',
  'export const NAMES: ReadonlySet<string> = new Set();',
  'class Kept { static last = 0; }',
  'export const WORD = /a/g;',
  'const inner = { all: new Set([1]) };',
])('attack: %s is found', (text) => {
  expect(stateOf(parsed('a.ts', text))).toHaveLength(1);
});

test.each([
  'const a = () => { let b = 0; return new Map([[b, 1]]); };',
  'class A { last = new Map(); }',
  'const W = /a/g;',
])('%s is each run’s own', (text) => {
  expect(stateOf(parsed('a.ts', text))).toEqual([]);
});
