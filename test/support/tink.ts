import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * argv: `encrypt` or `decrypt`, key and associated data in hex, source, target. The keyset is the one that the template
 * AES256_GCM_HKDF_1MB makes, with the given key. Prints `done`, or `refused` where Tink refuses.
 */
const TINK = `
import sys, tink
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

action, key, associated_data, source, target = sys.argv[1:]
streaming_aead.register()
template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
key_format = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
aead_key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
    key_value=bytes.fromhex(key), params=key_format.params)
keyset = tink_pb2.Keyset(primary_key_id=1)
keyset.key.add(
    key_data=tink_pb2.KeyData(
        type_url=template.type_url,
        value=aead_key.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC),
    status=tink_pb2.ENABLED, key_id=1, output_prefix_type=template.output_prefix_type)
handle = cleartext_keyset_handle.read(tink.BinaryKeysetReader(keyset.SerializeToString()))
primitive = handle.primitive(streaming_aead.StreamingAead)
data = bytes.fromhex(associated_data)
if action == 'encrypt':
    with open(source, 'rb') as plain, primitive.new_encrypting_stream(open(target, 'wb'), data) as cipher:
        cipher.write(plain.read())
    print('done')
else:
    try:
        with primitive.new_decrypting_stream(open(source, 'rb'), data) as cipher, open(target, 'wb') as plain:
            plain.write(cipher.read())
        print('done')
    except tink.TinkError:
        print('refused')
`;

/** What Google Tink makes of a file: `done` once `target` is written, `refused` where it does not decrypt. */
export async function runTink(
  python: string,
  ask: {
    readonly action: 'encrypt' | 'decrypt';
    readonly key: Buffer;
    /** In hex. */
    readonly associatedData: string;
    readonly source: string;
    readonly target: string;
  },
): Promise<string> {
  const { action, key, associatedData, source, target } = ask;
  const args = ['-c', TINK, action, key.toString('hex'), associatedData, source, target];
  const { stdout } = await promisify(execFile)(python, args, { timeout: 60_000 });
  return stdout.trim();
}
