import { randomBytes } from 'node:crypto';

const MIB = 1024 * 1024;
const ALIGNMENT = 8;

/** The parts of a safetensors file with one tensor of so many MiB, of which no two are the same. */
export function* largeSafetensors(mib: number): Generator<Buffer> {
  const tensor = { dtype: 'U8', shape: [mib * MIB], data_offsets: [0, mib * MIB] };
  const json = JSON.stringify({ 'layer.weight': tensor });
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / ALIGNMENT) * ALIGNMENT));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  yield Buffer.concat([length, header]);
  const block = randomBytes(MIB);
  for (let at = 0; at < mib; at += 1) {
    block.writeUInt32LE(at);
    yield block;
  }
}
