import type { ArtifactFormat } from '../../domain/artifacts.js';

/** One field of a message: its number, wire type, and where its content lies. */
interface Field {
  readonly number: number;
  readonly wire: number;
  readonly from: number;
  readonly to: number;
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const MAX_PIECE_FIELDS = 8;
/** Of what `TrainerSpec` and a SavedModel's `MetaGraphDef` both have, what is text in the former. */
const SPEC_TEXTS: readonly number[] = [1, 2, 5, 7];
const LAST_SHARED = 7;

/** The fields of a message in order; after the last one, `null` where the rest of the bytes is none. */
function* fieldsOf(bytes: Uint8Array): Generator<Field | null> {
  for (let at = 0; at < bytes.length;) {
    const tag = varint(bytes, at);
    if (tag === null) return void (yield null);
    const number = Math.floor(tag.value / 8);
    const wire = tag.value % 8;
    const content = contentOf(bytes, tag.end, wire);
    if (number === 0 || content === null) return void (yield null);
    yield { number, wire, from: content.from, to: content.to };
    at = content.to;
  }
}

/**
 * The format that the first fields of a protobuf message tell: ONNX begins with its version, a SavedModel with its schema and
 * a graph, SentencePiece with its first piece; `null` for anything else.
 */
export function formatOfMessage(head: Uint8Array): ArtifactFormat | null {
  const [first] = fieldsOf(head);
  const tag = varint(head, 0);
  if (tag?.value === (1 << 3) + WIRE.bytes) {
    const length = varint(head, tag.end);
    return length !== null && isPiece(head.subarray(length.end, length.end + length.value)) ? 'tokenizer' : null;
  }
  if (first?.number !== 1 || first.wire !== WIRE.varint) return null;
  const second = varint(head, first.to);
  if (second === null) return null;
  const number = Math.floor(second.value / 8);
  const version = varint(head, first.from)?.value ?? 0;
  // ONNX: 2 to 4 say who made it, 7 is the graph, 8 the operators. SavedModel: 2 is a message that begins with a message.
  if (number === 2 && second.value % 8 === WIRE.bytes) {
    const length = varint(head, second.end);
    if (length === null) return null;
    return version === 1 && head[length.end] === 0x0a ? 'saved-model' : version <= 64 ? 'onnx' : null;
  }
  const isOnnx = [3, 4, 5, 6, 7, 8, 14, 20, 25].includes(number) && version > 0 && version <= 64;
  return isOnnx ? 'onnx' : null;
}

/** Whether the whole is a SentencePiece model: pieces, and the four specifications that may follow them. */
export function isSentencePiece(bytes: Uint8Array): boolean {
  for (const field of fieldsOf(bytes)) {
    if (field === null || field.wire !== WIRE.bytes || field.number > 5) return false;
    const content = bytes.subarray(field.from, field.to);
    if (field.number === 1 && !isPiece(content)) return false;
    if (field.number === 2 && !isTrainerSpec(content)) return false;
  }
  return bytes.length > 0;
}

/** `SentencePiece`: its text, its score, and perhaps its type. */
function isPiece(bytes: Uint8Array): boolean {
  const wires = [-1, WIRE.bytes, WIRE.fixed32, WIRE.varint];
  let count = 0;
  for (const field of fieldsOf(bytes)) {
    if (field === null || wires[field.number] !== field.wire) return false;
    if (count === 0 && field.number !== 1) return false;
    count += 1;
    if (count > MAX_PIECE_FIELDS) return false;
  }
  return count > 0;
}

/**
 * `TrainerSpec`: in a SavedModel the graphs have its number, and there these fields are messages. No message that says anything
 * is a text.
 */
function isTrainerSpec(bytes: Uint8Array): boolean {
  for (const field of fieldsOf(bytes)) {
    if (field === null) return false;
    if (field.number > LAST_SHARED) continue;
    const isText = SPEC_TEXTS.includes(field.number);
    if (isText !== (field.wire === WIRE.bytes)) return false;
    if (isText && bytes.subarray(field.from, field.to).some(isControl)) return false;
  }
  return true;
}

function isControl(byte: number): boolean {
  return byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d;
}

function contentOf(bytes: Uint8Array, at: number, wire: number): { readonly from: number; readonly to: number } | null {
  const upTo = (from: number, to: number): { from: number; to: number } | null =>
    to <= bytes.length ? { from, to } : null;
  switch (wire) {
    case WIRE.varint: {
      const value = varint(bytes, at);
      return value === null ? null : { from: at, to: value.end };
    }
    case WIRE.fixed64:
      return upTo(at, at + 8);
    case WIRE.fixed32:
      return upTo(at, at + 4);
    case WIRE.bytes: {
      const length = varint(bytes, at);
      return length === null ? null : upTo(length.end, length.end + length.value);
    }
    default:
      return null;
  }
}

function varint(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  let scale = 1;
  for (let end = at; end < bytes.length && end < at + 10; end += 1) {
    const byte = bytes[end] as number;
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) return { value, end: end + 1 };
  }
  return null;
}
