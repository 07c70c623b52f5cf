import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, test } from 'vitest';
import { page, type Experiment, type Figure, type Results } from './results.js';

const RESULTS = new URL('../results.json', import.meta.url);
const PAGE = new URL('../../../docs/reliability.md', import.meta.url);

/** What a file of this folder tries. Once all of it has run, the results and the page say so. */
export class Run {
  private readonly groups = new Map<string, { tried: number; lost: string[] }>();
  private readonly figures: Figure[] = [];
  private planned = 0;

  constructor(name: Experiment) {
    let startedAt = Date.now();
    beforeAll(() => {
      startedAt = Date.now();
    });
    afterAll(() => {
      const tried = [...this.groups.values()].reduce((sum, group) => sum + group.tried, 0);
      // Nobody takes half for the whole.
      if (tried < this.planned) return;
      const before = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as Results) : {};
      const found = {
        at: new Date(startedAt).toISOString(),
        seconds: Math.round((Date.now() - startedAt) / 1000),
        groups: [...this.groups].map(([what, group]) => ({ what, ...group })),
        figures: this.figures,
      };
      const results = { ...before, [name]: found };
      writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
      writeFileSync(PAGE, page(results));
    });
  }

  /** One fault as a test: survived if `body` says nothing against it. */
  fault(group: string, name: string, body: () => Promise<void>, timeoutMs?: number): void {
    const counted = this.groups.get(group) ?? { tried: 0, lost: [] };
    this.groups.set(group, counted);
    this.planned += 1;
    const tried = async (): Promise<void> => {
      counted.tried += 1;
      try {
        await body();
      } catch (error) {
        counted.lost.push(name);
        throw error;
      }
    };
    test(`${group}: ${name}`, tried, timeoutMs);
  }

  figure(what: string, value: number, unit: string): void {
    this.figures.push({ what, value, unit });
  }
}
