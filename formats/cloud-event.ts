import { CloudEvent } from 'cloudevents';
import type { AuditRecord } from '../domain/audit.js';
import { printable } from './printable.js';

/** What a consumer is told of a retirement, for its machines. */
export interface NoticeData {
  readonly occasion: 'notice' | 'reminder' | 'emergency';
  readonly consumer: string;
  readonly model: string;
  readonly version: string;
  readonly release: string;
  readonly retiresAt: string;
  readonly reason: string;
  /** What to use then. */
  readonly instead?: string;
  /** The request to retire it, which an acknowledgement names; or the vulnerability notice. */
  readonly request: string;
}

/** The same letter as an event: the same id, however often it is sent. */
export function noticeEvent(messageId: string, data: NoticeData, source: string): CloudEvent<NoticeData> {
  return new CloudEvent({
    id: messageId,
    source,
    type: `custody.retirement.${data.occasion}`,
    subject: `${data.model}@${data.version}`,
    datacontenttype: 'application/json',
    data,
  });
}

/** As wide as any size that a checkpoint can have, so that the texts sort as the numbers do. */
const INDEX_WIDTH = 16;

/**
 * A record of the log of that origin as a CloudEvent 1.0. The same record is the same event, whoever makes it and whatever key
 * signs the log then; `sequence` (an extension that CloudEvents documents) is the index of the record, without a gap.
 */
export function recordEvent(record: AuditRecord, index: number, origin: string): CloudEvent<AuditRecord> {
  const { model, version } = record.subject;
  return new CloudEvent({
    id: record.id,
    source: origin.split('/').map(encodeURIComponent).join('/'),
    type: `custody.audit.${record.change}`,
    // A name in there may be what somebody made up who was refused; what it was, byte for byte, the data says.
    ...(model === '' ? {} : { subject: printable(version === null ? model : `${model}@${version}`) }),
    time: record.time,
    datacontenttype: 'application/json',
    data: record,
    sequence: String(index).padStart(INDEX_WIDTH, '0'),
  });
}
