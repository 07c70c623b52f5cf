import { whileConnected, type Session } from '../session.js';
import { verifyFolder, type VerifyFolderOptions } from './verify-folder.js';

export async function verify(
  session: Session,
  given: string,
  version: string | undefined,
  options: VerifyFolderOptions,
): Promise<void> {
  if (version === undefined) return verifyFolder(session, given, options);
  const { verifyRelease } = await import('./release.js');
  return whileConnected(session, (connected) => verifyRelease(connected, given, version));
}
