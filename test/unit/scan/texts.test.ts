import fc from 'fast-check';
import { constants, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { scanBytes, type Scanned } from '../../support/artifacts.js';

const RUNS = Number(process.env['CUSTODY_FUZZ_RUNS'] ?? 300);
const named = (name: string, text: string, holdsCode = false): Scanned =>
  scanBytes(Buffer.from(text), 64 * 1024, name, holdsCode);
const yaml = (text: string): Scanned => named('config.yaml', text);
const json = (value: unknown): Scanned => named('config.json', JSON.stringify(value));

const FRONT_MATTER =
  '---\nlicense: mit\ntags:\n- text\n- "a: b"\nwidget:\n- text: "Hello [MASK]."\n---\n\n# Model: a card\n\nUse `x: y`.\n';

describe('YAML', () => {
  it.each([
    'a: 1\nb: [x, "y: z", {c: d}]\nlist:\n- 1\n- text: |\n    free\n    text\n',
    'train:\n  <<: no\n'.replace('<<', 'merge'),
    'base: &base text\nother: *base\nlist: &l [1]\nagain: *l\n',
    'a: !!str 1\nb: !!set {x, y}\nc: !!binary aGk=\nd: !<tag:yaml.org,2002:int> 3\n',
    'trust_remote_code: false\nauto_map: null\n_attn_implementation: sdpa\n',
    '%YAML 1.1\n---\na: b\n...\n',
    '',
    '# nothing but a comment\n',
  ])('has nothing against it: %j', (text) => {
    expect(yaml(text)).toMatchObject({ format: 'text', findings: [] });
  });

  it.each([
    ['with a tag', '!!python/object/apply:os.system ["id"]', 'unsafe-yaml'],
    ['with an escaped tag', '!!%70ython/object/apply:os.system ["id"]', 'unsafe-yaml'],
    ['with an escaped slash', '!!python%2Fobject/apply:os.system ["id"]', 'unsafe-yaml'],
    ['with a verbatim tag', 'a: !<tag:yaml.org,2002:python/name:os.system> x', 'unsafe-yaml'],
    ['with a verbatim tag that is escaped', 'a: !<tag:yaml.org,2002:%70ython/name:os.system> x', 'unsafe-yaml'],
    ['with a directive', '%TAG !p! tag:yaml.org,2002:py\n---\n!p!thon/object/apply:os.system ["id"]', 'unsafe-yaml'],
    [
      'with a directive for !!',
      '%TAG !! tag:yaml.org,2002:python/\n---\n!!object/apply:os.system ["id"]',
      'unsafe-yaml',
    ],
    ['with a tag of HyperPyYAML', 'a: !new:os.system\n  command: id', 'unsafe-yaml'],
    ['with a tag of SnakeYAML', 'a: !!javax.script.ScriptEngineManager []', 'unsafe-yaml'],
    ['with a tag of Ruby', 'a: !ruby/object:Gem::Installer {}', 'unsafe-yaml'],
    ['with what Hydra calls', '_target_: os.system\ncommand: id', 'import-path'],
    ['with what Hydra calls, in quotes', 'a:\n- {"\\x5ftarget_": os.system}', 'import-path'],
    ['with what Hydra calls, as another key', '? _target_\n: os.system', 'import-path'],
    ['with what Hydra calls, by an alias', 'k: &k _target_\n*k : os.system', 'import-path'],
    ['with what Hydra calls, in the second document', 'a: b\n---\n_target_: os.system', 'import-path'],
    ['with what torchtune calls', 'model:\n  _component_: os.system', 'import-path'],
    ['with what pyannote builds', 'pipeline:\n  name: subprocess.Popen\n  params: {args: [id]}', 'import-path'],
    ['with what sentence-transformers routes to', 'types:\n  a: os.system', 'import-path'],
    ['with what latent diffusion calls', 'model:\n  target: os.abort', 'import-path'],
    ['with what Lightning calls', 'model:\n  class_path: os.abort', 'import-path'],
    ['with what MLflow imports', 'flavors:\n  python_function:\n    loader_module: evil', 'import-path'],
    ['with code of others', 'auto_map: {AutoModel: x.Y}', 'remote-code'],
    ['with the switch for it', 'trust_remote_code: yes', 'remote-code'],
    ['with the switch for it, by an alias', 'a: &t true\ntrust_remote_code: *t', 'remote-code'],
    ['with a template', 'chat_template: "{{ \'\'.\\x5f_class__ }}"', 'template-escape'],
    ['with a template in a block', "chat_template: |\n  {{ ''\n  .__class__ }}", 'template-escape'],
    ['with a key that stands twice', 'a: 1\n"a": 2', 'malformed'],
    ['with mappings that are merged', 'a: &a {module: os}\nb:\n  <<: *a\n  class_name: system', 'malformed'],
    ['with a key that is a list', '[a]: b', 'malformed'],
    ['that is none', 'a: b: c\n', 'malformed'],
    ['that does not end', 'a: [b, c\n', 'malformed'],
    ['whose lines end to some readers only', '# \u2028!new:os.system\n', 'malformed'],
  ])('attack: %s', (_, text, rule) => {
    expect(new Set(yaml(`${text}\n`).rules)).toEqual(new Set([rule]));
  });

  it.each(['n', 'N', 'nO', 'off', 'no', 'fAlse', 'nUll', '!!str false', '!!str ~', '!!bool n', '"false"', '1', '.nan'])(
    'attack: with a switch that is on, since to some reader %j is a text or a number, and no falsehood',
    (value) => {
      expect(yaml(`trust_remote_code: ${value}\n`).rules).toEqual(['remote-code']);
      expect(yaml(`off: &off ${value}\nmodel: {trust_remote_code: *off}\n`).rules).toEqual(['remote-code']);
    },
  );

  it.each(['false', 'False', 'FALSE', 'null', 'Null', 'NULL', '~', ''])('has a switch that is off: %j', (value) => {
    expect(yaml(`trust_remote_code: ${value}\n`).findings).toEqual([]);
  });

  it.each([
    ['brackets', `a: ${'['.repeat(50_000)}`],
    ['lists in one line', '- '.repeat(50_000)],
    ['keys in one line', '? '.repeat(50_000)],
    ['lists, each in the next line', Array.from({ length: 300 }, (_, at) => `${' '.repeat(at)}-`).join('\n')],
    ['mappings', Array.from({ length: 300 }, (_, at) => `${' '.repeat(at)}a:`).join('\n')],
    ['elements', '- a\n'.repeat(60_000)],
    ['characters', `a: ${'x'.repeat(600_000)}`],
    ['aliases', `a: &a x\n${'- *a\n'.repeat(60_000)}`],
  ])('attack: of too many %s is not clean, and is not read', (_, text) => {
    expect(yaml(text).rules).toEqual(['resource-limit']);
    expect(named('notes.txt', text).findings).toEqual([]);
  });

  it.each(['config.txt', 'MLmodel', 'params', 'x.cfg'])('attack: in a file called %s', (name) => {
    expect(named(name, '_target_: os.system\ncommand: id\n').rules).toEqual(['import-path']);
    expect(named(name, '!!%70ython/object/apply:os.system ["id"]\n').rules).toContain('unsafe-yaml');
    expect(named(name, 'a: 1\nb: {c: !apply:os.system [id]}\n').rules).toEqual(['unsafe-yaml']);
    expect(named(name, 'a: !new:subprocess.Popen\n  args: id\n').rules).toEqual(['unsafe-yaml']);
    expect(named(name, 'a: !!set {x, y}\nb: ! c\nd: !!binary aGk=\n').findings).toEqual([]);
  });

  it('attack: in the front matter of a card', () => {
    expect(named('README.md', FRONT_MATTER.replace('license: mit', '_target_: os.system')).rules).toEqual([
      'import-path',
    ]);
  });
});

describe('text that is nothing else', () => {
  it.each([
    ['vocab.txt', '[PAD]\n[unused0]\n[UNK]\nthe\n##s\n{\n}\n{{\n}}\n'],
    ['merges.txt', '#version: 0.2\nĠ t\nh e\n{ {\n[ [\n< script\n! !\n'],
    ['vocab.txt', '[UNK]\n!!python\n'],
    ['README.md', FRONT_MATTER],
    [
      'README.md',
      '[![badge](https://example.org/a.svg)](https://example.org)\n\n<div align="center"><img src="a.png"></div>\n',
    ],
    [
      'README.md',
      '[link](https://example.org) [1] and {braces}\n```yaml\n_target_: a.b\n```\n```html\n<script src="x"></script>\n```\n',
    ],
    ['prompt.txt', '[INST] Answer in JSON: {"a": 1} [/INST]'],
    ['requirements.txt', 'torch==2.4.0\n--hash=sha256:00\n'],
    ['LICENSE', 'Copyright (c) %d\n'],
  ])('has nothing against it: %s', (name, text) => {
    expect(named(name, text)).toMatchObject({ format: 'text', findings: [] });
  });

  it('attack: has no pickle, whatever its name says', () => {
    for (const name of [
      'vocab.txt',
      'config.json',
      'config.yaml',
      'chat_template.jinja',
      'README.md',
      'model.safetensors',
    ])
      expect(named(name, "cposix\nsystem\n(S'id'\ntR.")).toMatchObject({ format: 'pickle' });
  });
});

describe('JSON', () => {
  it.each([
    ['modules.json', '[{"idx":0,"idx":0,"name":"0","path":"","type":"os.system"}]'],
    ['modules.txt', '[{"idx":0,"idx":0,"name":"0","path":"","type":"os.system"}]'],
    ['modules', '[1, {"auto_map": null, "auto_map": {"AutoModel": "x.Y"}}]'],
    ['modules', ' \n[null,{"auto_map": null, "auto_map": {"AutoModel": "x.Y"}}]'],
    ['config.json', 'not JSON'],
    ['config.JSON', '{{ x }}'],
    ['config.json', `${' '.repeat(5000)}{"auto_map": {}, "auto_map": 1}`],
    ['x', `${'\n'.repeat(5000)}{"auto_map": {}, "auto_map": 1}`],
  ])('attack: that cannot be looked through is not clean: %s with %j', (name, text) => {
    expect(named(name, text).rules).toEqual(['malformed']);
  });

  it('is JSON whatever stands before it or its name is', () => {
    for (const name of ['config.json', 'config.txt', 'config.yaml', 'weights.bin', 'README.md'])
      expect(named(name, `${'\n'.repeat(9000)}{"auto_map": {"AutoModel": "x.Y"}}`)).toMatchObject({
        format: 'json',
        rules: ['remote-code'],
      });
  });

  it.each([
    ['a module by a short path', [{ name: '0', path: '', type: 'os.system' }], 'import-path'],
    ['a module without a dot', [{ idx: 0, path: '', type: 'evil' }], 'import-path'],
    [
      'a function of sentence-transformers',
      [{ idx: 0, path: '', type: 'sentence_transformers.util.http_get' }],
      'import-path',
    ],
    ['a module that begins alike', [{ idx: 0, path: '', type: 'sentence_transformers_evil.models.X' }], 'import-path'],
    ['an activation of its own', { in_features: 4, activation_function: 'os.system' }, 'import-path'],
    ['an activation of torch that is none', { activation_fn: 'torch.hub.load' }, 'import-path'],
    [
      'a library of peft',
      { auto_mapping: { base_model_class: 'X', parent_library: 'transformers_modules.x' } },
      'import-path',
    ],
    ['a part of diffusers', { _class_name: 'StableDiffusionPipeline', unet: ['os', 'system'] }, 'import-path'],
    [
      'a part of diffusers that says more',
      { _class_name: 'P', unet: ['os', 'system', { repo: 'x/y' }] },
      'import-path',
    ],
    ['the type of such a part', { _class_name: 'P', unet: [null, null, { type_hint: ['os', 'X'] }] }, 'import-path'],
    ['a component of torchtune', { model: { _component_: 'os.system' } }, 'import-path'],
    ['what mmengine imports', { custom_imports: { imports: ['evil'] } }, 'import-path'],
    ['a factory of logging', { handlers: { file: { '()': 'os.system', cmd: 'id' } } }, 'import-path'],
    ['a service of Ray', { applications: [{ import_path: 'evil:app' }] }, 'import-path'],
    ['a tokenizer of sentence-transformers', { tokenizer_class: 'os.path.join' }, 'import-path'],
    ['a route of sentence-transformers', { types: { query_0: 'os.system' }, structure: {} }, 'import-path'],
    ['a pipeline of pyannote', { pipeline: { name: 'subprocess.Popen', params: { args: 'id' } } }, 'import-path'],
    ['a component of haystack', { a: { type: 'os.system', init_parameters: { command: 'id' } } }, 'import-path'],
    ['the code of mlx-lm', { model_type: 'x', model_file: 'model.py' }, 'remote-code'],
    ['a part above the model', { weight_map: { w: '../other/model-1.safetensors' } }, 'unsafe-name'],
    ['a part from anywhere', { weight_map: { v: 'model-1.safetensors', w: '/tmp/x.bin' } }, 'unsafe-name'],
    ['a part of diffusers beside it', { _class_name: 'P', unet: ['my_unet', 'UNet'] }, 'import-path'],
    ['a pipeline that comes along', { _class_name: ['pipeline', 'MyPipeline'] }, 'remote-code'],
    ['a kernel for each part', { attn_implementation: { text_config: 'someone/kernel' } }, 'remote-code'],
    ['a kernel within a part', { text_config: { _attn_implementation: 'someone/kernel:attn' } }, 'remote-code'],
    ['code deep in a configuration', { a: { b: [{ c: { auto_map: { AutoConfig: 'x.Y' } } }] } }, 'remote-code'],
    ['code of a tokenizer', { auto_map: { AutoTokenizer: ['x.Y', null] } }, 'remote-code'],
    ['the switch as a text', { trust_remote_code: 'true' }, 'remote-code'],
    ['the switch as a list of one number', { a: { trust_remote_code: [1] } }, 'remote-code'],
    ['the switch as a number', { a: { trust_remote_code: 1 } }, 'remote-code'],
    ['the switch of Keras as a number', { enable_unsafe_deserialization: -0.5 }, 'lambda-layer'],
    ['what mmengine calls', { model: { type: 'os.system', command: 'id' } }, 'import-path'],
    ['what mmengine calls of torch', { model: { type: 'torch.hub.load', repo_or_dir: 'x/y' } }, 'import-path'],
    ['the core that peft imports', { megatron_config: { a: 1 }, megatron_core: 'evil.module' }, 'import-path'],
    ['a later word of jsonpickle', { 'py/newargs': ['x'] }, 'import-path'],
    ['langchain', { lc: 1, type: 'constructor', id: ['langchain', 'llms', 'OpenAI'], kwargs: {} }, 'import-path'],
    ['a secret of langchain', { chain: [{ lc: 1, type: 'secret', id: ['AWS_SECRET_ACCESS_KEY'] }] }, 'import-path'],
  ])('attack: with %s', (_, value, rule) => {
    expect(new Set(json(value).rules)).toEqual(new Set([rule]));
  });

  it.each([
    ['a Dense of sentence-transformers', { in_features: 4, activation_function: 'torch.nn.modules.activation.Tanh' }],
    ['a sparse encoder', [{ idx: 0, path: '', type: 'sentence_transformers.sparse_encoder.models.SpladePooling' }]],
    [
      'a router of sentence-transformers',
      { types: { a: 'sentence_transformers.sparse_encoder.models.SparseStaticEmbedding' }, structure: { q: ['a'] } },
    ],
    ['a table of types', { types: { ids: 'np.int64', mask: 'torch.float32' } }],
    ['a tokenizer', { tokenizer_class: 'BertTokenizer', vocab: { '()': 7, import_path: 8 } }],
    ['an index of parts', { metadata: {}, weight_map: { a: 'model-1-of-2.safetensors', b: 'unet/model.safetensors' } }],
    ['a pipeline of pyannote', { pipeline: { name: 'pyannote.audio.pipelines.SpeakerDiarization', params: {} } }],
    ['a component of haystack', { type: 'haystack.components.builders.PromptBuilder', init_parameters: {} }],
    ['a list of layers', { layers: [{ name: 'model.layers.0', params: 4096 }] }],
    [
      'a pipeline in parts',
      { _class_name: 'P', unet: ['diffusers', 'UNet', { repo: 'x/y', type_hint: ['diffusers', 'UNet'] }] },
    ],
    ['an activation by its name', { activation_function: 'gelu_new', hidden_act: 'silu' }],
    [
      'a pipeline',
      {
        _class_name: 'StableDiffusionPipeline',
        unet: ['diffusers', 'UNet'],
        safety_checker: [null, null],
        c: ['stable_diffusion', 'SafetyChecker'],
      },
    ],
    [
      'a part of a pipeline',
      { _class_name: 'UNet2DConditionModel', down_block_types: ['DownBlock2D', 'AttnDownBlock2D'] },
    ],
    ['a table with such columns', { lc: 1, type: 'a' }],
    ['a vocabulary with such words', { model: { vocab: { lc: 1, type: 2, id: 3, kwargs: 4 } } }],
    [
      'types of mmengine and of torch',
      [{ type: 'mmdet.ResNet' }, { type: 'torch.nn.Conv2d' }, { type: 'torch.float16' }],
    ],
    ['a switch that is no number but zero', { trust_remote_code: 0 }],
    [
      'an adapter',
      { megatron_core: 'megatron.core', auto_mapping: null, target_modules: ['q', 'v'], peft_type: 'LORA' },
    ],
    [
      'a tokenizer',
      {
        added_tokens: [{ id: 1, content: '{{' }],
        model: { vocab: { '{{ __': 3, auto_map: 1 }, merges: ['{{ __', '}} )'] },
      },
    ],
  ])('of %s has nothing against it', (_, value) => {
    expect(json(value)).toMatchObject({ format: 'json', findings: [] });
  });
});

describe('a model of Keras', () => {
  it.each([
    [
      'a model',
      {
        module: 'keras',
        class_name: 'Sequential',
        config: {
          layers: [
            {
              module: 'keras.layers',
              class_name: 'Dense',
              config: { dtype: { module: 'keras', class_name: 'DTypePolicy', config: {}, registered_name: null } },
            },
          ],
        },
        registered_name: 'Sequential',
      },
    ],
    ['an older one', { class_name: 'Functional', config: { layers: [{ class_name: 'InputLayer', config: {} }] } }],
    [
      'a source path',
      { module: 'keras.src.models.functional', class_name: 'Functional', config: {}, registered_name: 'Functional' },
    ],
    ['of TensorFlow', { module: 'tensorflow.keras.layers', class_name: 'Dense', config: {} }],
  ])('that is %s has nothing against it', (_, value) => {
    expect(json(value).findings).toEqual([]);
  });

  it.each([
    [
      'a function of Keras (CVE-2025-1550)',
      { module: 'keras.utils', class_name: 'function', config: 'get_file', registered_name: 'function' },
      ['import-path'],
    ],
    [
      'a function within a layer',
      { class_name: 'Dense', config: { activation: { class_name: 'function', config: 'x', module: null } } },
      ['import-path'],
    ],
    [
      'a function by its registered name',
      { class_name: 'X', config: 'x', registered_name: 'function' },
      ['import-path'],
    ],
    [
      'the switch by its name (CVE-2025-9906)',
      { module: 'keras.config', class_name: 'function', config: 'enable_unsafe_deserialization' },
      ['lambda-layer', 'import-path'],
    ],
    ['the switch by its whole name', { fn: ['keras.config.enable_unsafe_deserialization'] }, ['lambda-layer']],
    [
      'a function of a part of Keras that loads',
      { module: 'keras.utils', class_name: 'get_file', config: {} },
      ['import-path'],
    ],
    [
      'a module that begins like Keras',
      { module: 'keras_evil.layers', class_name: 'Dense', config: {} },
      ['import-path'],
    ],
    [
      'a module of TensorFlow that is no part of Keras',
      { module: 'tensorflow.io.gfile', class_name: 'GFile', config: {} },
      ['import-path'],
    ],
    [
      'a class of somebody else',
      { module: null, class_name: 'MyLayer', config: {}, registered_name: 'mine>MyLayer' },
      ['import-path'],
    ],
    ['a class with a path', { class_name: 'os.system', config: {} }, ['import-path']],
    ['a module that is no text', { module: ['os'], class_name: 'system', config: {} }, ['import-path']],
    [
      'a Lambda in a model in a model',
      { config: { layers: [{ config: { layers: [{ class_name: 'Lambda', config: {} }] } }] } },
      ['lambda-layer'],
    ],
    [
      'a Lambda by its registered name',
      { class_name: 'X', config: {}, registered_name: 'keras>Lambda' },
      ['lambda-layer'],
    ],
  ])('attack: with %s', (_, value, rules) => {
    expect(new Set(json(value).rules)).toEqual(new Set(rules));
  });
});

describe('code', () => {
  it.each([
    ['modeling_x.py', 'import os\n'],
    ['setup.PY', ''.padEnd(1)],
    ['run.sh', 'id\n'],
    ['page.html', 'hello\n'],
    ['logo.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['serve.mjs', 'process.exit(0);\n'],
    ['README', '#!/usr/bin/env python3\nprint(1)\n'],
    ['README.md', '\ufeff#!/bin/sh\nid\n'],
    ['README.md', '<?php system("id"); ?>'],
    ['README.md', '<!-- a -->\n<!DOCTYPE html><script>alert(1)</script>'],
    ['notes.txt', '  <script src="https://example.org/x.js"></script>'],
  ])('attack: in %s belongs to no weights, configuration or documentation: %j', (name, text) => {
    expect(named(name, text).rules).toEqual(['unexpected-code']);
  });

  it('is let in where the serving command runs it', () => {
    expect(named('serve.mjs', '#!/usr/bin/env node\nconst a = {{}};\n', true)).toMatchObject({
      format: 'text',
      findings: [],
    });
  });
});

describe('the scan of texts', () => {
  const text = fc.oneof(
    fc.json(),
    fc.string({ unit: 'grapheme', maxLength: 200 }),
    fc
      .array(
        fc.constantFrom(
          ...[
            '- ',
            '? ',
            ': ',
            'a',
            '\n',
            '  ',
            '[',
            ']',
            '{',
            '}',
            ',',
            '"',
            "'",
            '&a ',
            '*a',
            '!t ',
            '!!str ',
            '|',
            '>',
            '#',
            '%TAG',
          ],
          ...['---\n', '...\n', '{{', '}}', '{%', '%}', '\\', '\t', '\u2028', '\ufeff', '_target_', '<<', '~', '1'],
        ),
        { maxLength: 60 },
      )
      .map((parts) => parts.join('')),
  );
  const names = fc.constantFrom('a.json', 'a.yaml', 'a.jinja', 'a.txt', 'README.md', '');

  it('ends in a finding or in none, however the bytes are cut, of anything', () => {
    fc.assert(
      fc.property(text, names, fc.integer({ min: 1, max: 40 }), (content, name, chunk) => {
        const bytes = Buffer.from(content);
        expect(scanBytes(bytes, chunk, name).rules).toEqual(scanBytes(bytes, 1024, name).rules);
      }),
      { numRuns: RUNS * 5 },
    );
  });

  it('finds what makes a loader run code in any JSON and YAML around it', () => {
    const around = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.constant('HERE'), tie('list'), tie('map')),
      list: fc.tuple(fc.jsonValue({ maxDepth: 1 }), tie('value')),
      map: tie('value').map((value) => ({ a: 1, b: value })),
    })).value;
    fc.assert(
      fc.property(around, (value) => {
        const document = JSON.stringify(value).replace(/"HERE"/g, '{"auto_map":{"AutoModel":"x.Y"}}');
        expect(named('a.json', document).rules).toContain('remote-code');
        expect(named('a.yaml', `# comment\n${document}\n`).rules).toContain('remote-code');
      }),
      { numRuns: RUNS },
    );
  });
});

describe('a model that is written as text', () => {
  const ONNX = {
    irVersion: '8',
    graph: { initializer: [{ externalData: [{ key: 'location', value: '../../etc/passwd' }] }] },
  };
  it.each([
    ['saved_model.pbtxt', 'meta_graphs { graph_def { node { op: "WriteFile" } } }'],
    ['x/saved_model.pbtxt', '# nothing that is known\n'],
    ['graph.pbtxt', 'node {\n  name: "x"\n  op: "PyFunc"\n}\n'],
    ['graph.pbtxt', 'a: "#" node # {\n<\n op: "PyFunc" >'],
    ['model.textproto', 'ir_version: 8 graph { }'],
    ['deploy.prototxt', 'layer { type: "Python" python_param { module: "evil" } }'],
    ['model.onnxtxt', '<ir_version: 8> main (float[N] x) => (float[N] y) { y = custom.Op(x) }'],
    ['model.txt', 'tree\nversion=v4\nnum_class=1\nmax_feature_idx=3\n\nTree=0\nnum_leaves=2\nleft_child=-99999\n'],
    ['README.md', 'max_feature_idx=3\nTree=0\n'],
    ['model.json', JSON.stringify(ONNX)],
    ['model.json', JSON.stringify(ONNX).replace('irVersion', '\\u0069r_version')],
  ])('attack: is refused: %s with %s', (name, content) => {
    expect(named(name, content).rules).toEqual(['format-not-allowed']);
  });

  it.each([
    [
      'config.pbtxt',
      'name: "digits"\nbackend: "onnxruntime"\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ 64 ] } ]\n',
    ],
    ['label_map.pbtxt', "item {\n  id: 1\n  name: 'cat'\n}\n"],
    ['graph.json', '{"graph": {"nodes": []}}'],
    ['notes.md', 'Of LightGBM we set `max_feature_idx=3`; the first block is `Tree=0`.\n'],
  ])('is not what only looks alike: %s', (name, content) => {
    expect(named(name, content).findings).toEqual([]);
  });
});

describe('a configuration of Gin', () => {
  it.each([
    ['import os.path\n'],
    ['a.b = 1\n  from x import y\n'],
    ["include '/etc/passwd'\n"],
    ['train.optimizer = @Adam\n'],
    ["train.run = {'a': [@scope/evil.call()]}\n"],
    ['a = "x" # fine\nb = @evil()\n'],
    ['a = "unfinished\nb = @evil()\n'],
  ])('attack: that imports or calls something is refused: %j', (text) => {
    expect(named('operative_config.gin', text).rules).toContain('import-path');
  });

  it('of values, and macros of them, has nothing against it, nor has text that is called otherwise', () => {
    const text =
      '# import nothing\nlr = 0.1\ntrain.rate = %lr\ntrain.name = "me@example.org"\ntrain.important = True\n';
    expect(named('operative_config.gin', text).findings).toEqual([]);
    expect(named('notes.txt', 'import x, or write to me@example.org\n').findings).toEqual([]);
  });
});

describe('a text that is zlib', () => {
  /** A stored block, whose length and its complement are UTF-8. */
  const stored = (payload: string): Buffer => {
    const length = 0x4020;
    const head = Buffer.from([0x78, 0x5e, 0x41, length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff]);
    return Buffer.concat([head, Buffer.from(payload.padEnd(length))]);
  };

  it.each(['model.joblib', 'notes.txt', 'config.json'])(
    'attack: and unpacks to a pickle, as joblib would, is no text: %s',
    (name) => {
      const bytes = stored("cos\nsystem\n(S'id'\ntR.");
      expect(inflateSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).toString()).toContain('cos\nsystem');
      expect(bytes.equals(Buffer.from(bytes.toString('utf8')))).toBe(true);
      expect(scanBytes(bytes, 1024 * 1024, name).format).toBe('compressed');
    },
  );

  it.each(['x^2 + y^2 = z^2\n', 'x^', 'xÚ', `x^n\n${'and so on. '.repeat(500)}`, 'x} and x \n'])(
    'is not what only begins like it: %j',
    (content) => {
      expect(named('notes.txt', content)).toMatchObject({ format: 'text', findings: [] });
    },
  );
});
