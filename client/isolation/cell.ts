import { CustodyError, exitCodeOf, type ErrorCode } from '../../domain/errors.js';

/** One credential of one environment, tried on one service of another. */
export interface Cell {
  readonly of: string;
  readonly on: string;
  readonly service: string;
  readonly credential: string;
  /** `unknown`: the service did not answer, or there was nothing to try it with, so that nothing was found. */
  readonly state: 'refused' | 'accepted' | 'unknown';
  /** How it was refused, or what it got. */
  readonly how: string;
  /** What else whoever holds it can do on this host, which the other environment has no say in. */
  readonly caveat?: string;
}

type Found = Pick<Cell, 'state' | 'how'>;

/** As it should be: what was tried was refused, by one of these codes. Any other refusal says that the credential counts. */
export async function refused(codes: readonly ErrorCode[], tried: () => Promise<string>): Promise<Found> {
  try {
    return { state: 'accepted', how: await tried() };
  } catch (error) {
    if (!(error instanceof CustodyError)) throw error;
    const how = `${error.code}: ${error.message}`;
    if (codes.includes(error.code)) return { state: 'refused', how };
    const isDown = exitCodeOf(error.code) === 7 || error.code === 'PENDING';
    return isDown ? { state: 'unknown', how } : { state: 'accepted', how: `it counts there: ${how}` };
  }
}
