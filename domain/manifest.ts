import type { Digest } from './digest.js';
import type { Protocol } from './protocol.js';

export interface ManifestFile {
  /** Relative to the release folder, `/`-separated, in Unicode normal form C. */
  readonly path: string;
  readonly size: number;
  readonly sha256: Digest;
}

export const COMPONENT_KINDS = [
  'weights',
  'config',
  'tokenizer',
  'vocabulary',
  'adapter',
  'prompt',
  'guardrail',
  'dependencies',
  'serving',
  'documentation',
] as const;
export type ComponentKind = (typeof COMPONENT_KINDS)[number];

/** One named part of a release, with a version of its own. */
export interface Component {
  readonly name: string;
  readonly kind: ComponentKind;
  readonly version: string;
  readonly files: readonly string[];
}

/**
 * Files that a release may have: with names of 75 characters, the manifest of so many, the signature over it and the report of
 * their scan still fit into what the store keeps as one object, 8 MiB.
 */
export const MAX_FILES = 32_000;

/** The name of the manifest inside a release. */
export const MANIFEST_FILE = 'custody.json';

/** `custody.json`: everything that decides a release's behaviour. Its SHA-256 in canonical form is the release digest. */
export interface Manifest {
  readonly schema: 'https://custody.dev/manifest/v1';
  readonly model: string;
  readonly version: string;
  readonly components: readonly Component[];
  readonly files: readonly ManifestFile[];
  readonly serving: {
    readonly protocol: Protocol;
    /** Run in the release folder; `--host`, `--port` or `--socket`, `--name` and `--version` are added. */
    readonly command: readonly string[];
  };
}
