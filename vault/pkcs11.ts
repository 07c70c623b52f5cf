import { promisify } from 'node:util';
import type { TypeObject } from 'koffi';
import { CustodyError } from '../domain/errors.js';

/**
 * As much of PKCS#11 v2.40 as the vault calls: names and numbers are those of pkcs11t.h; where a type is
 * described is named beside it. Structs are laid out as on Linux, on 64 bits, the least significant byte first.
 */

/** CK_ULONG, and all handles. A bigint where a number is too small for it. */
export type Ulong = number | bigint;

/** Base specification, "Object types": CK_ATTRIBUTE. */
export interface Attribute {
  readonly type: number;
  readonly pValue: Buffer;
  readonly ulValueLen: number;
}

/** "Data types for mechanisms": CK_MECHANISM, with the parameters of AES-GCM or none. */
export interface Mechanism {
  readonly mechanism: number;
  readonly pParameter: GcmParams | null;
  readonly ulParameterLen: number;
}

/** Current mechanisms, "AES-GCM and AES-CCM mechanism parameters": CK_GCM_PARAMS. */
export interface GcmParams {
  /** Some tokens write here what they have chosen themselves. */
  readonly pIv: Buffer;
  readonly ulIvLen: number;
  readonly ulIvBits: number;
  readonly pAAD: Buffer;
  readonly ulAADLen: number;
  readonly ulTagBits: number;
}

/** What takes a number out through a pointer. */
type Out = [Ulong];
type Answer = Promise<Ulong>;

/** Each answers its CK_RV. Calls run outside the event loop: whoever makes them sees to it that it is one at a time. */
export interface Cryptoki {
  C_Initialize(args: object): Answer;
  C_Finalize(reserved: null): Answer;
  C_GetSlotList(tokenPresent: number, slots: Ulong[] | null, count: Out): Answer;
  C_GetTokenInfo(slot: Ulong, info: Buffer): Answer;
  C_GetMechanismInfo(slot: Ulong, mechanism: number, info: [Ulong, Ulong, Ulong]): Answer;
  C_OpenSession(slot: Ulong, flags: number, application: null, notify: null, session: Out): Answer;
  C_Login(session: Ulong, user: number, pin: Buffer, length: number): Answer;
  C_DestroyObject(session: Ulong, object: Ulong): Answer;
  C_GetAttributeValue(session: Ulong, object: Ulong, template: readonly Attribute[], count: number): Answer;
  C_FindObjectsInit(session: Ulong, template: readonly Attribute[], count: number): Answer;
  C_FindObjects(session: Ulong, objects: Ulong[], max: number, count: Out): Answer;
  C_FindObjectsFinal(session: Ulong): Answer;
  C_EncryptInit(session: Ulong, mechanism: Mechanism, key: Ulong): Answer;
  C_Encrypt(session: Ulong, data: Buffer, length: number, out: Buffer, outLength: Out): Answer;
  C_DecryptInit(session: Ulong, mechanism: Mechanism, key: Ulong): Answer;
  C_Decrypt(session: Ulong, data: Buffer, length: number, out: Buffer, outLength: Out): Answer;
  C_GenerateKey(session: Ulong, mechanism: Mechanism, template: readonly Attribute[], count: number, key: Out): Answer;
}

const ULONG = 'unsigned long';
/** Vendors' libraries use more stack than a thread of the binding has by itself. */
const STACK_BYTES = 1024 * 1024;

/** Loads a PKCS#11 library into this process. The binding is read only where a token is configured. */
export async function loadModule(path: string): Promise<Cryptoki> {
  const { default: koffi } = await import('koffi').catch((cause: unknown) => {
    throw new CustodyError('TOOL_MISSING', 'tokens are reached through koffi, an optional dependency: install it', {
      cause,
    });
  });
  // It can only be said before the first library is loaded.
  if (koffi.config().async_stack_size !== STACK_BYTES) koffi.config({ async_stack_size: STACK_BYTES });
  const pointer = (to: Record<string, string | TypeObject>): TypeObject => koffi.pointer(koffi.struct(to));
  const attributes = pointer({ type: ULONG, pValue: 'void *', ulValueLen: ULONG });
  const gcm = pointer({
    ...{ pIv: 'void *', ulIvLen: ULONG, ulIvBits: ULONG },
    ...{ pAAD: 'void *', ulAADLen: ULONG, ulTagBits: ULONG },
  });
  const mechanism = pointer({ mechanism: ULONG, pParameter: gcm, ulParameterLen: ULONG });
  // "Function types": CK_C_INITIALIZE_ARGS, without functions of our own for locking.
  const mutexes = { create: 'void *', destroy: 'void *', lock: 'void *', unlock: 'void *' };
  const initializeArgs = pointer({ ...mutexes, flags: ULONG, reserved: 'void *' });
  const out = koffi.out(koffi.pointer(ULONG));
  const inout = koffi.inout(koffi.pointer(ULONG));
  type Type = string | TypeObject | typeof out;
  /** By where each stands in CK_FUNCTION_LIST ("Function types"), counted from C_Initialize on. */
  const functions: Readonly<Record<keyof Cryptoki, readonly [number, readonly Type[]]>> = {
    C_Initialize: [0, [initializeArgs]],
    C_Finalize: [1, ['void *']],
    C_GetSlotList: [4, ['uint8_t', out, inout]],
    C_GetTokenInfo: [6, [ULONG, 'void *']],
    C_GetMechanismInfo: [8, [ULONG, ULONG, out]],
    C_OpenSession: [12, [ULONG, ULONG, 'void *', 'void *', out]],
    C_Login: [18, [ULONG, ULONG, 'void *', ULONG]],
    C_DestroyObject: [22, [ULONG, ULONG]],
    C_GetAttributeValue: [24, [ULONG, ULONG, attributes, ULONG]],
    C_FindObjectsInit: [26, [ULONG, attributes, ULONG]],
    C_FindObjects: [27, [ULONG, out, ULONG, out]],
    C_FindObjectsFinal: [28, [ULONG]],
    C_EncryptInit: [29, [ULONG, mechanism, ULONG]],
    C_Encrypt: [30, [ULONG, 'void *', ULONG, 'void *', inout]],
    C_DecryptInit: [33, [ULONG, mechanism, ULONG]],
    C_Decrypt: [34, [ULONG, 'void *', ULONG, 'void *', inout]],
    C_GenerateKey: [58, [ULONG, mechanism, attributes, ULONG, out]],
  };
  const list = functionList(koffi, path);
  const bound = Object.entries(functions).map(([name, [index, types]]) => {
    const at = koffi.decode(list, index * koffi.sizeof('void *'), 'void *') as bigint;
    const call = koffi.decode(at, koffi.proto(ULONG, [...types])) as { async: CallbackLast };
    return [name, heldWhile(promisify(call.async))] as const;
  });
  return Object.fromEntries(bound) as unknown as Cryptoki;
}

type CallbackLast = (...args: [...unknown[], (error: Error | null, answer: Ulong) => void]) => void;

/** The binding takes the address of a buffer, and does not keep the buffer. */
const held = new Set<unknown>();
function heldWhile(call: (...args: unknown[]) => Answer): (...args: unknown[]) => Answer {
  return async (...args) => {
    held.add(args);
    try {
      return await call(...args);
    } finally {
      held.delete(args);
    }
  };
}

/** Where the functions begin: after CK_VERSION, aligned as a pointer. */
function functionList(koffi: typeof import('koffi').default, path: string): bigint {
  try {
    const get = koffi.load(path).func('C_GetFunctionList', ULONG, [koffi.out(koffi.pointer('void *'))]);
    const list: [bigint] = [0n];
    if (Number(get(list)) === 0) return list[0] + BigInt(koffi.sizeof('void *'));
  } catch (cause) {
    throw new CustodyError('CONFIG_INVALID', `cannot load the PKCS#11 module ${path}`, { details: { path }, cause });
  }
  throw new CustodyError('CONFIG_INVALID', `the PKCS#11 module ${path} gives no list of its functions`);
}

const RETURNED: Readonly<Record<number, string>> = {
  0x02: 'CKR_HOST_MEMORY',
  0x05: 'CKR_GENERAL_ERROR',
  0x06: 'CKR_FUNCTION_FAILED',
  0x07: 'CKR_ARGUMENTS_BAD',
  0x10: 'CKR_ATTRIBUTE_READ_ONLY',
  0x11: 'CKR_ATTRIBUTE_SENSITIVE',
  0x12: 'CKR_ATTRIBUTE_TYPE_INVALID',
  0x13: 'CKR_ATTRIBUTE_VALUE_INVALID',
  0x1b: 'CKR_ACTION_PROHIBITED',
  0x30: 'CKR_DEVICE_ERROR',
  0x31: 'CKR_DEVICE_MEMORY',
  0x32: 'CKR_DEVICE_REMOVED',
  0x40: 'CKR_ENCRYPTED_DATA_INVALID',
  0x41: 'CKR_ENCRYPTED_DATA_LEN_RANGE',
  0x60: 'CKR_KEY_HANDLE_INVALID',
  0x68: 'CKR_KEY_FUNCTION_NOT_PERMITTED',
  0x6a: 'CKR_KEY_UNEXTRACTABLE',
  0x70: 'CKR_MECHANISM_INVALID',
  0x71: 'CKR_MECHANISM_PARAM_INVALID',
  0x82: 'CKR_OBJECT_HANDLE_INVALID',
  0x90: 'CKR_OPERATION_ACTIVE',
  0xa0: 'CKR_PIN_INCORRECT',
  0xa1: 'CKR_PIN_INVALID',
  0xa2: 'CKR_PIN_LEN_RANGE',
  0xa3: 'CKR_PIN_EXPIRED',
  0xa4: 'CKR_PIN_LOCKED',
  0xb0: 'CKR_SESSION_CLOSED',
  0xb1: 'CKR_SESSION_COUNT',
  0xb3: 'CKR_SESSION_HANDLE_INVALID',
  0xe0: 'CKR_TOKEN_NOT_PRESENT',
  0xe1: 'CKR_TOKEN_NOT_RECOGNIZED',
  0xe2: 'CKR_TOKEN_WRITE_PROTECTED',
  0x101: 'CKR_USER_NOT_LOGGED_IN',
  0x102: 'CKR_USER_PIN_NOT_INITIALIZED',
  0x190: 'CKR_CRYPTOKI_NOT_INITIALIZED',
};

/** The token is gone, or has forgotten who asks. */
const GONE =
  /^CKR_(DEVICE_(ERROR|REMOVED)|FUNCTION_FAILED|(KEY|OBJECT|SESSION)_HANDLE_INVALID|OPERATION_ACTIVE|SESSION_(CLOSED|COUNT)|TOKEN_NOT_PRESENT|USER_NOT_LOGGED_IN|CRYPTOKI_NOT_INITIALIZED)$/;
/** Each try with a wrong PIN is one less. */
const PIN_REFUSED = /^CKR_(USER_)?PIN_/;

/** CONFIG_INVALID for a PIN, VAULT_UNAVAILABLE while the token is gone, INTERNAL for everything else but CKR_OK. */
export function check(call: keyof Cryptoki, answer: Ulong): void {
  const value = Number(answer);
  if (value === 0) return;
  const ckr = RETURNED[value] ?? `CKR 0x${value.toString(16)}`;
  const code = PIN_REFUSED.test(ckr) ? 'CONFIG_INVALID' : GONE.test(ckr) ? 'VAULT_UNAVAILABLE' : 'INTERNAL';
  throw new CustodyError(code, `the token has answered ${ckr} to ${call}`, { details: { ckr } });
}
