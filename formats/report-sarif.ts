import type { ReportedResult, ValidationReport } from '../domain/report.js';
import { MANIFEST_FILE } from '../domain/manifest.js';
import { visible } from './markup.js';

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';

/** A validation as SARIF 2.1.0 (OASIS): a rule for each criterion, a result for each of them, about the release's manifest. */
export function sarifReport({ model, version, release, results, suites, verdict, remedy }: ValidationReport): string {
  const rules = results.map(({ id, suite }) => ({
    id,
    shortDescription: { text: plain(`${suite}: ${id}`) },
  }));
  const log = {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'Custody', informationUri: 'https://custody.dev/', rules } },
        automationDetails: { id: `custody/${model}/${version}` },
        results: results.map((result, ruleIndex) => resultOf(result, ruleIndex)),
        properties: {
          release,
          verdict,
          remedy,
          suites: suites.map(({ rule }) => ({ suite: rule.suite, version: rule.version, sha256: rule.sha256 })),
        },
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

/** A result that is no failure must have the level `none` (section 3.27.10). */
function resultOf({ id, suite, verdict, says, tolerated }: ReportedResult, ruleIndex: number): object {
  const passed = verdict === 'passed';
  const about = verdict === 'inconclusive' ? `inconclusive: ${says ?? ''}` : (says ?? 'passed');
  return {
    ruleId: id,
    ruleIndex,
    kind: passed ? 'pass' : 'fail',
    level: passed ? 'none' : tolerated ? 'note' : 'error',
    message: { text: about === '' ? verdict : plain(about) },
    locations: [
      {
        physicalLocation: { artifactLocation: { uri: MANIFEST_FILE } },
        logicalLocations: [{ name: id, fullyQualifiedName: `${suite}/${id}` }],
      },
    ],
  };
}

/** Somebody else's text as SARIF's plain text: brackets would make links of it (section 3.11.6), and nothing hides in it. */
function plain(text: string): string {
  return visible(text).replace(/[\\[\]]/g, (character) => `\\${character}`);
}
