import { FILE_ROWS } from './rows/files.js';
import { LOG_ROWS } from './rows/log.js';
import { ORCHESTRATION_ROWS } from './rows/orchestration.js';
import type { Row } from './rows/row.js';
import { SERVICE_ROWS } from './rows/service.js';

/** In the order in which the benches run. */
export const ROWS: readonly Row[] = [...FILE_ROWS, ...SERVICE_ROWS, ...LOG_ROWS, ...ORCHESTRATION_ROWS];
