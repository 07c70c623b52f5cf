import type { ValidationReport } from '../domain/report.js';
import { canonicalBytes } from './jcs.js';
import { htmlReport } from './report-html.js';
import { junitReport } from './report-junit.js';
import { sarifReport } from './report-sarif.js';

/** What the reports of a validation are called in its test result. */
export const REPORTS = {
  json: 'report',
  html: 'report.html',
  junit: 'report.junit.xml',
  sarif: 'report.sarif',
} as const;

/** A validation's report in every form: the same report makes the same bytes. */
export function renderReports(report: ValidationReport): readonly (readonly [string, Buffer])[] {
  const text = (made: string): Buffer => Buffer.from(made, 'utf8');
  return [
    [REPORTS.json, canonicalBytes(report)],
    [REPORTS.html, text(htmlReport(report))],
    [REPORTS.junit, text(junitReport(report))],
    [REPORTS.sarif, text(sarifReport(report))],
  ];
}
