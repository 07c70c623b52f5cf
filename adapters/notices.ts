import type { AcknowledgementPredicate, NoticePredicate, WaiverPredicate } from '../domain/ending-predicates.js';
import type { Retirement } from '../domain/lifecycle.js';
import type { ReleaseName } from '../domain/names.js';
import { storeKeys } from '../domain/store-keys.js';
import { genuineUnder } from './genuine.js';
import type { Found, Records } from './records.js';

/** Who was told of a retirement, at first and later, and what was answered. */
export interface Notices {
  readonly notice: Found<NoticePredicate>;
  readonly laterNotices: readonly Found<NoticePredicate>[];
  readonly acknowledgements: readonly Found<AcknowledgementPredicate>[];
  readonly waivers: readonly Found<WaiverPredicate>[];
}

/** The first notice to those who depend on a condemned release; `null` before there is one. */
export async function informedOf(records: Records, name: ReleaseName): Promise<Pick<Retirement, 'notice'> | null> {
  return (await records.record(storeKeys.record(name, 'informed'))) as Pick<Retirement, 'notice'> | null;
}

export async function gatherNotices(
  records: Records,
  name: ReleaseName,
  { notice }: Pick<Retirement, 'notice'>,
): Promise<Notices> {
  const [first, laterNotices, acknowledgements, waivers] = await Promise.all([
    records.get('notice', notice),
    genuineUnder(records, 'notice', storeKeys.laterNoticesOf(name)),
    genuineUnder(records, 'acknowledgement', storeKeys.acknowledgementsOf(name)),
    genuineUnder(records, 'waiver', storeKeys.waiversOf(name)),
  ]);
  return { notice: first, laterNotices, acknowledgements, waivers };
}
