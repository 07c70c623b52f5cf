import { resolve } from 'node:path';
import type { SignedEnvelope } from '../../domain/statements.js';
import type { Reading } from '../connect.js';
import { replaceFile } from '../files.js';
import { answer, faint, type Output } from '../output.js';

interface Message {
  readonly workflowId: string;
  readonly name: string;
  readonly envelope: SignedEnvelope;
}

/** Writes a signed message to a file and answers the commands of the plain Temporal CLI that send it. */
export function printMessage(
  session: Output & { readonly custody: Reading },
  given: string,
  { workflowId, name, envelope }: Message,
): void {
  const file = resolve(given);
  replaceFile(file, JSON.stringify(envelope));
  const { address, namespace } = session.custody.description.temporal;
  const target = `--workflow-id ${workflowId} --name ${name} --input-file ${quoted(file)}`;
  const where = `--address ${address} --namespace ${namespace}`;
  const update = `temporal workflow update execute ${target} ${where} --command-timeout 30s`;
  const signal = `temporal workflow signal ${target} ${where}`;
  answer(session, { file, update, signal }, [update, faint('# while no worker is up:'), signal]);
}

/** As a shell reads it. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
