import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

// Who may import whom: the arrows of docs/architecture.md.
const FOLDERS = [
  'domain',
  'formats',
  'workflows',
  'activities',
  'adapters',
  'workers',
  'gateway',
  'vault',
  'api',
  'client',
  'examples',
];
const ALLOWED = {
  domain: [],
  formats: ['domain'],
  workflows: ['domain'],
  activities: ['domain', 'formats', 'adapters', 'workflows'],
  adapters: ['domain', 'formats'],
  workers: ['domain', 'formats', 'adapters', 'activities', 'workflows'],
  gateway: ['domain', 'formats'],
  vault: ['domain', 'formats'],
  api: ['domain', 'formats', 'workflows'],
  client: ['domain', 'formats', 'workflows', 'adapters'],
};
const arrows = Object.entries(ALLOWED).map(([target, allowed]) => ({
  files: [`${target}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          ...FOLDERS.filter((folder) => folder !== target && !allowed.includes(folder)).map((folder) => ({
            regex: `^(\\.\\./)+${folder}/`,
            message: `${target}/ may not import ${folder}/.`,
            // A workflow knows the shape of its activities, and none of their code.
            allowTypeImports: target === 'workflows' && folder === 'activities',
          })),
          ...(target === 'workflows'
            ? [
                {
                  regex: '^(node:|@temporalio/(client|worker|activity|testing)$|minio$|pino$|zod$)',
                  message: 'Workflow code is deterministic: no Node, no client, no big libraries.',
                },
              ]
            : []),
          ...(target === 'domain' ? [{ regex: '^[^.]', message: 'domain/ is pure: it imports only itself.' }] : []),
        ],
      },
    ],
  },
}));

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'node_modules/',
      '.custody/',
      '.custody-last/',
      '**/*.mjs',
      '!examples/digits/training/*.mjs',
      'eslint.config.js',
    ],
  },
  ...tseslint.configs.recommendedTypeChecked,
  {
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { project: './tsconfig.eslint.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-deprecated': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      'no-console': 'error',
      'max-lines': ['error', { max: 250, skipBlankLines: true, skipComments: true }],
    },
  },
  ...arrows,
  {
    files: ['workflows/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 150, skipBlankLines: true, skipComments: true }],
      'no-restricted-globals': ['error', 'process', 'Buffer', 'fetch'],
      // A gate whose time-out is ignored would open by itself.
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "ExpressionStatement > AwaitExpression > CallExpression:matches([callee.name='condition'],[callee.property.name='condition'])[arguments.length>1]",
          message: 'condition() with a time-out answers false when it runs out: use the answer, and fail closed.',
        },
      ],
    },
  },
  {
    // Every start of the command reads these: what a command does is imported when it runs.
    files: ['client/commands/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^(?!commander$|\\.\\./session\\.js$)',
              message: 'Declare the command here, and do it in client/actions/, imported by the action.',
              allowTypeImports: true,
            },
          ],
        },
      ],
    },
  },
  {
    // A repository of its own could hold it: it has what it needs, and nothing to install.
    files: ['examples/digits/training/*.mjs'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [{ regex: '^(?!node:|\\./)', message: 'The training code imports Node and itself, nothing else.' }],
        },
      ],
    },
  },
  { files: ['client/**/*.ts', 'examples/**/*.ts', 'bench/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      'max-lines': 'off',
      '@typescript-eslint/unbound-method': 'off',
      // vitest types its asymmetric matchers as any.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
