import type { TensorMeasure } from '../domain/release-facts.js';
import type { Dtype } from './safetensors.js';

/** Elements that are measured at a time: decoded into doubles, summed up, and added to the sketch. */
const BLOCK = 4096;
/** Places of a sketch: the estimate of a distance is within about 1/sqrt(2 * 64) = 9 % of it, in two cases of three. */
export const SKETCH_PLACES = 64;
const DIGITS = 6;

type Decoder = { readonly bytes: number; readonly decode: (block: Buffer, out: Float64Array) => void };

/** Where each element of a block goes: twice the place, plus one for those that are subtracted. */
const SLOTS = Uint8Array.from({ length: BLOCK }, (_, at) => mixed(at) % (2 * SKETCH_PLACES));

/** MurmurHash3's finaliser. */
function mixed(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Half precision, by its 16 bits. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  const size =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

/** F8_E4M3 has no infinity: all ones is NaN. */
function e4m3(bits: number): number {
  const [exponent, fraction] = [(bits >> 3) & 0xf, bits & 0x7];
  const size = exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7);
  if ((bits & 0x7f) === 0x7f) return NaN;
  return bits & 0x80 ? -size : size;
}

interface View {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, offset: number, length: number): ArrayLike<number>;
}

/** As typed arrays read them; a block begins where its buffer does, and hosts that run Node.js are little-endian. */
const numbers = (Elements: View): Decoder => ({
  bytes: Elements.BYTES_PER_ELEMENT,
  decode: ({ buffer, byteOffset, length }, out) =>
    out.set(new Elements(buffer, byteOffset, length / Elements.BYTES_PER_ELEMENT)),
});

/** By a table of all values that so many bits can have, made when it is first needed: most scans meet no such tensor. */
const tabled = (Elements: View, valueOf: (bits: number) => number): Decoder => {
  let table: Float64Array | null = null;
  return {
    bytes: Elements.BYTES_PER_ELEMENT,
    decode: ({ buffer, byteOffset, length }, out) => {
      const known = (table ??= Float64Array.from({ length: 256 ** Elements.BYTES_PER_ELEMENT }, (_, bits) =>
        valueOf(bits),
      ));
      const bits = new Elements(buffer, byteOffset, length / Elements.BYTES_PER_ELEMENT);
      for (let at = 0; at < bits.length; at += 1) out[at] = known[bits[at] as number] as number;
    },
  };
};

/** Eight bytes as a low and a high half. */
const halves = (High: View): Decoder => ({
  bytes: 8,
  decode: ({ buffer, byteOffset, length }, out) => {
    const [low, high] = [new Uint32Array(buffer, byteOffset, length / 4), new High(buffer, byteOffset, length / 4)];
    for (let at = 0; at < length / 8; at += 1)
      out[at] = (high[2 * at + 1] as number) * 2 ** 32 + (low[2 * at] as number);
  },
});

const WORD = new Uint32Array(1);
const SINGLE = new Float32Array(WORD.buffer);
/** The upper half of single precision. */
function brain(bits: number): number {
  WORD[0] = bits * 65_536;
  return SINGLE[0] as number;
}

const DECODERS: Partial<Record<Dtype, Decoder>> = {
  F64: numbers(Float64Array),
  F32: numbers(Float32Array),
  // Real and imaginary parts are numbers like any other here.
  C64: numbers(Float32Array),
  F16: tabled(Uint16Array, half),
  BF16: tabled(Uint16Array, brain),
  // The upper half of half precision.
  F8_E5M2: tabled(Uint8Array, (bits) => half(bits * 256)),
  F8_E4M3: tabled(Uint8Array, e4m3),
  BOOL: numbers(Uint8Array),
  U8: numbers(Uint8Array),
  I8: numbers(Int8Array),
  U16: numbers(Uint16Array),
  I16: numbers(Int16Array),
  U32: numbers(Uint32Array),
  I32: numbers(Int32Array),
  U64: halves(Uint32Array),
  I64: halves(Int32Array),
};

/**
 * Measures a tensor as its bytes pass by, in memory that does not grow with it. The same elements make the same measure,
 * however the bytes are cut.
 */
export class TensorSketch {
  private readonly buffer = new ArrayBuffer(8 * BLOCK);
  private readonly values = new Float64Array(BLOCK);
  private readonly places = new Float64Array(SKETCH_PLACES);
  private readonly local = new Float64Array(2 * SKETCH_PLACES);
  private decoder: Decoder | undefined;
  private block = Buffer.alloc(0);
  private held = 0;
  private blocks = 0;
  private squares = 0;
  private nonFinite = 0;
  private zeros = 0;

  /** Forgets what was added: what comes is another tensor. */
  begin(dtype: Dtype): void {
    this.decoder = DECODERS[dtype];
    this.block = Buffer.from(this.buffer, 0, BLOCK * (this.decoder?.bytes ?? 0));
    this.places.fill(0);
    this.held = 0;
    this.blocks = 0;
    this.squares = 0;
    this.nonFinite = 0;
    this.zeros = 0;
  }

  add(bytes: Buffer): void {
    if (this.decoder === undefined) return;
    for (let at = 0; at < bytes.length;) {
      const taken = Math.min(bytes.length - at, this.block.length - this.held);
      bytes.copy(this.block, this.held, at, at + taken);
      this.held += taken;
      at += taken;
      if (this.held === this.block.length) this.flush(this.decoder);
    }
  }

  /** `null` for a dtype that is not measured, and for numbers whose squares a double cannot hold. */
  measure(places: number): TensorMeasure | null {
    if (this.decoder === undefined) return null;
    if (this.held > 0) this.flush(this.decoder);
    const norm = Math.sqrt(this.squares);
    const folded = new Float64Array(places);
    this.places.forEach((value, at) => (folded[at % places] = (folded[at % places] ?? 0) + value));
    const sketch = Array.from(folded, rounded);
    return Number.isFinite(norm) && sketch.every(Number.isFinite)
      ? { norm: rounded(norm), sketch, nonFinite: this.nonFinite, zeros: this.zeros }
      : null;
  }

  private flush({ bytes, decode }: Decoder): void {
    const count = this.held / bytes;
    decode(this.block.subarray(0, this.held), this.values);
    for (let at = 0; at < count; at += 1) if (this.values[at] === 0) this.zeros += 1;
    let squares = this.sum(count);
    if (!Number.isFinite(squares)) {
      this.dropNonFinite(count);
      squares = this.sum(count);
    }
    this.squares += squares;
    // Blocks differ in where they begin and in their sign, so that like blocks do not add up.
    const turn = mixed(this.blocks + BLOCK);
    const sign = turn & 1 ? -1 : 1;
    for (let place = 0; place < SKETCH_PLACES; place += 1) {
      const difference = (this.local[2 * place] ?? 0) - (this.local[2 * place + 1] ?? 0);
      const to = (place + (turn >>> 1)) % SKETCH_PLACES;
      this.places[to] = (this.places[to] ?? 0) + sign * difference;
    }
    this.blocks += 1;
    this.held = 0;
  }

  private sum(count: number): number {
    const { values, local } = this;
    local.fill(0);
    let squares = 0;
    for (let at = 0; at < count; at += 1) {
      const value = values[at] as number;
      const slot = SLOTS[at] as number;
      squares += value * value;
      local[slot] = (local[slot] as number) + value;
    }
    return squares;
  }

  private dropNonFinite(count: number): void {
    for (let at = 0; at < count; at += 1)
      if (!Number.isFinite(this.values[at])) {
        this.values[at] = 0;
        this.nonFinite += 1;
      }
  }
}

/** Short enough to be written down a hundred thousand times, and the same on every host. */
function rounded(value: number): number {
  return Number(value.toPrecision(DIGITS));
}
