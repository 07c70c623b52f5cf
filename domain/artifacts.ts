import type { Digest } from './digest.js';

/** What the bytes of a file say that it is. Names are never asked. */
export const ARTIFACT_FORMATS = [
  'safetensors',
  'json',
  'text',
  'tokenizer',
  'pickle',
  'pytorch',
  'numpy',
  'keras',
  'hdf5',
  'onnx',
  'gguf',
  'saved-model',
  'zip',
  'tar',
  'compressed',
  'executable',
  'pdf',
  'unknown',
] as const;
export type ArtifactFormat = (typeof ARTIFACT_FORMATS)[number];

/** Formats that hold data and nothing that runs, and that are read whole: only these can be let in without a scanner. */
export const DATA_FORMATS = ['safetensors', 'json', 'text', 'tokenizer'] as const satisfies readonly ArtifactFormat[];
export type DataFormat = (typeof DATA_FORMATS)[number];

/** What a policy can name a scanner for. */
export type ScannableFormat = Exclude<ArtifactFormat, DataFormat | 'unknown'>;
export const SCANNABLE_FORMATS: readonly ScannableFormat[] = ARTIFACT_FORMATS.filter(
  (format): format is ScannableFormat => !(DATA_FORMATS as readonly string[]).includes(format) && format !== 'unknown',
);

/** What in a file that is allowed makes a loader run something: a policy denies all of it unless it lists less. */
export const CONSTRUCTS = ['remote-code', 'import-path', 'lambda-layer', 'unsafe-yaml', 'template-escape'] as const;
export type Construct = (typeof CONSTRUCTS)[number];

interface Rule {
  /** The technique of MITRE ATLAS that it shows. */
  readonly atlas: string;
  /** `unscannable`: what is in there could not be seen, which is as far from clean as what was seen and is bad. */
  readonly shows: 'danger' | 'unscannable';
}

const UNSAFE_ARTIFACT = 'AML.T0011.000';
const SUPPLIED_MODEL = 'AML.T0010.003';
const ARCHITECTURE = 'AML.T0018.001';
const EMBEDDED_MALWARE = 'AML.T0018.002';
const PROMPT_LOGIC = 'AML.T0018.003';
const DENIAL_OF_SERVICE = 'AML.T0029';
const MASQUERADING = 'AML.T0074';
const CORRUPT_MODEL = 'AML.T0076';

export const RULES = {
  'format-not-allowed': { atlas: SUPPLIED_MODEL, shows: 'danger' },
  'unknown-format': { atlas: SUPPLIED_MODEL, shows: 'unscannable' },
  malformed: { atlas: CORRUPT_MODEL, shows: 'unscannable' },
  'unexpected-code': { atlas: EMBEDDED_MALWARE, shows: 'danger' },
  misnamed: { atlas: MASQUERADING, shows: 'danger' },
  polyglot: { atlas: MASQUERADING, shows: 'danger' },
  'trailing-bytes': { atlas: EMBEDDED_MALWARE, shows: 'danger' },
  'resource-limit': { atlas: DENIAL_OF_SERVICE, shows: 'unscannable' },
  encrypted: { atlas: CORRUPT_MODEL, shows: 'unscannable' },

  'unsafe-global': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'dynamic-import': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'unsafe-call': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'extension-code': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'persistent-id': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'frame-boundary': { atlas: CORRUPT_MODEL, shows: 'danger' },
  'broken-pickle': { atlas: CORRUPT_MODEL, shows: 'unscannable' },
  'object-array': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  torchscript: { atlas: EMBEDDED_MALWARE, shows: 'danger' },

  'archive-mismatch': { atlas: CORRUPT_MODEL, shows: 'danger' },
  'bad-checksum': { atlas: CORRUPT_MODEL, shows: 'danger' },
  'unsafe-name': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'archive-link': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'nested-archive': { atlas: MASQUERADING, shows: 'danger' },
  'ratio-bomb': { atlas: DENIAL_OF_SERVICE, shows: 'danger' },
  'unsupported-method': { atlas: CORRUPT_MODEL, shows: 'unscannable' },

  'remote-code': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'import-path': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'lambda-layer': { atlas: ARCHITECTURE, shows: 'danger' },
  'unsafe-yaml': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'template-escape': { atlas: PROMPT_LOGIC, shows: 'danger' },

  'scanner-finding': { atlas: UNSAFE_ARTIFACT, shows: 'danger' },
  'scanner-failed': { atlas: SUPPLIED_MODEL, shows: 'unscannable' },
} as const satisfies Record<string, Rule> & Record<Construct, Rule>;

export type RuleId = keyof typeof RULES;
export const RULE_IDS = Object.keys(RULES) as readonly RuleId[];

/** What is wrong with a file, at which byte. */
export interface Finding {
  readonly file: string;
  readonly offset: number;
  readonly rule: RuleId;
  /** Technique of MITRE ATLAS. */
  readonly atlas: string;
  readonly message: string;
}

/** One file as the scan found it: these very bytes, whose hash was taken in the same pass. */
export interface ScannedFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: Digest;
  readonly format: ArtifactFormat;
  readonly findings: readonly Finding[];
}

/** What another scanner said of one file. Only `clean` says that it looked, and found nothing. */
export interface ScannerVerdict {
  readonly scanner: string;
  readonly file: string;
  readonly verdict: 'clean' | 'findings' | 'failed';
  readonly message: string;
}

/** What a policy says of artifacts. */
export interface ArtifactRules {
  readonly maxFiles: number;
  readonly maxFileBytes: number;
  /** Formats that may come in without a scanner; by default all that hold nothing but data. */
  readonly formats?: readonly DataFormat[];
  /** What these files may not contain; by default every construct that Custody knows. */
  readonly denied?: readonly Construct[];
  /** Formats that may come in if every scanner that is named for them passes, and Custody's own reader finds nothing. */
  readonly scanners?: readonly { readonly name: string; readonly formats: readonly ScannableFormat[] }[];
  /** Prompts may come in of which nobody says from which reviewed commit they are. */
  readonly allowUnreviewedPrompts?: true;
}

export interface ScanVerdict {
  readonly verdict: 'clean' | 'refused' | 'unscannable';
  /** Empty exactly where the verdict is `clean`. */
  readonly findings: readonly Finding[];
}

export function finding(file: string, rule: RuleId, offset: number, message: string): Finding {
  return { file, offset, rule, atlas: RULES[rule].atlas, message };
}

/** Who must look at a file of this format before it may come in; `null` where nobody can let it in. */
export function scannersFor(format: ArtifactFormat, { formats, scanners }: ArtifactRules): readonly string[] | null {
  const allowed: readonly string[] = formats ?? DATA_FORMATS;
  if (allowed.includes(format)) return [];
  const named = (scanners ?? []).filter((each) => (each.formats as readonly string[]).includes(format));
  return named.length === 0 ? null : [...new Set(named.map(({ name }) => name))];
}

/** Whether a release may come in by what is in its files. What nobody could look into is not clean. */
export function judgeScan(
  files: readonly ScannedFile[],
  verdicts: readonly ScannerVerdict[],
  rules: ArtifactRules,
): ScanVerdict {
  const denied: readonly string[] = rules.denied ?? CONSTRUCTS;
  const permitted = (rule: RuleId): boolean =>
    (CONSTRUCTS as readonly string[]).includes(rule) && !denied.includes(rule);
  const findings = files.flatMap((file) => [
    ...admitFormat(file, verdicts, rules),
    ...file.findings.filter(({ rule }) => !permitted(rule)),
  ]);
  if (findings.length === 0) return { verdict: 'clean', findings };
  const isDangerous = findings.some(({ rule }) => RULES[rule].shows === 'danger');
  return { verdict: isDangerous ? 'refused' : 'unscannable', findings };
}

function admitFormat(
  { path, format }: ScannedFile,
  verdicts: readonly ScannerVerdict[],
  rules: ArtifactRules,
): readonly Finding[] {
  const scanners = scannersFor(format, rules);
  if (scanners === null)
    return format === 'unknown'
      ? [finding(path, 'unknown-format', 0, 'its bytes are of no format that Custody knows')]
      : [finding(path, 'format-not-allowed', 0, `it is ${format} by its content, which the policy does not let in`)];
  return scanners.flatMap((scanner) => {
    const said = verdicts.filter((verdict) => verdict.scanner === scanner && verdict.file === path);
    if (said.length === 0) return [finding(path, 'scanner-failed', 0, `${scanner} has not looked at it`)];
    return said.flatMap(({ verdict, message }) =>
      verdict === 'clean'
        ? []
        : [finding(path, verdict === 'findings' ? 'scanner-finding' : 'scanner-failed', 0, `${scanner}: ${message}`)],
    );
  });
}

/** Findings in one line for people: the first few in full, the rest counted. */
export function describeFindings(findings: readonly Finding[], listed = 3): string {
  const told = findings
    .slice(0, listed)
    .map(({ file, offset, rule, atlas, message }) => `${file}, byte ${offset}: ${rule} (${atlas}): ${message}`);
  const more = findings.length - told.length;
  return `${told.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
