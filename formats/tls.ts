import { z } from 'zod';

const path = z.string().startsWith('/');

/** PEM files of one end of a connection on which both ends prove who they are. */
export const tlsFilesSchema = z.strictObject({
  certificate: path,
  key: path,
  /** The authorities whose certificates the other end may have: of this environment's own hosts, and of nobody else. */
  authorities: path,
});

export type TlsFiles = z.infer<typeof tlsFilesSchema>;

/** Where a gateway's admin listener is: a socket on this host, or an address on another one. */
export const gatewayAddressSchema = z.union([
  path,
  z.strictObject({ url: z.url({ protocol: /^https$/ }), tls: tlsFilesSchema }),
]);

export type GatewayAddress = z.infer<typeof gatewayAddressSchema>;
