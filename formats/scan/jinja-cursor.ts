import { NoTemplate, type Token } from './jinja-lexer.js';

/** A place among the tokens of one block, the last of which is its end. */
export class TokenCursor {
  private readonly tokens: readonly Token[];
  private next = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get at(): number {
    return this.peek().at;
  }

  isEnd(): boolean {
    return this.peek().kind === 'end';
  }

  isName(name: string, ahead = 0): boolean {
    const { kind, value } = this.peek(ahead);
    return kind === 'name' && value === name;
  }

  isOperator(operator: string, ahead = 0): boolean {
    const { kind, value } = this.peek(ahead);
    return kind === 'operator' && value === operator;
  }

  takesName(name: string): boolean {
    return this.isName(name) && this.take();
  }

  takesOperator(operator: string): boolean {
    return this.isOperator(operator) && this.take();
  }

  name(): string {
    const { kind, value } = this.peek();
    if (kind !== 'name') this.fail('expected a name');
    this.take();
    return value;
  }

  operator(operator: string): void {
    if (!this.takesOperator(operator)) this.fail(`expected ${operator}`);
  }

  end(): void {
    if (!this.isEnd()) this.fail('expected the end of the block');
  }

  fail(problem: string): never {
    throw new NoTemplate(this.at, problem);
  }

  protected peek(ahead = 0): Token {
    return this.tokens[Math.min(this.next + ahead, this.tokens.length - 1)] as Token;
  }

  protected take(): true {
    this.next += 1;
    return true;
  }
}
