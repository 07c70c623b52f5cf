import type { Digest } from '../domain/digest.js';
import type { LifecycleControl } from './contract.js';

/** What workflows ask of the zones before data are used. The rules of `contract.ts` hold here, too. */
export interface AdmittedData {
  /** The statement about the data, and what the list of their files hashes to. */
  readonly statement: Digest;
  readonly list: Digest;
  readonly by: string;
}

export interface TakenData {
  readonly files: number;
  readonly bytes: number;
}

export interface DataControl {
  /** Verifies and keeps what is said of data, with every handover; a refusal is audited. */
  admitData(source: string, statement: unknown, handovers: readonly unknown[]): Promise<AdmittedData>;
  /** From then on models may be trained on them; it is in the log before. */
  recordData(source: string, admitted: AdmittedData, taken: TakenData): Promise<void>;
  refuse: LifecycleControl['refuse'];
}

export interface DataIntake {
  /** Compares every byte in a folder with what was signed for, and keeps the list of the files. DIGEST_MISMATCH. */
  takeData(source: string, admitted: AdmittedData, folder: string): Promise<TakenData>;
}
