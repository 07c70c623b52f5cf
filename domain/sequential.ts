/** So many of `of` were bad. */
export interface Share {
  readonly of: number;
  readonly bad: number;
}

/**
 * The mixture bets on small shares, where models live: Beta(1/2, 5). What it bets on decides how soon something is proved, and
 * never how often it is proved wrongly.
 */
const A = 0.5;
const B = 5;
const HALVINGS = 60;

/**
 * How strongly the counts speak for `candidate` being bad more often than `reference` by more than `tolerance` (a share),
 * as the logarithm of an e-value: the likelihood of the counts, mixed over all pairs of shares, divided by the greatest
 * that any pair gives them in which the candidate is not worse than that.
 *
 * Whoever looks after every single answer and stops when he likes sees it exceed log(1 / alpha) with a probability of at most
 * alpha where the candidate is not worse: under each such pair the ratio to its own likelihood is a non-negative martingale
 * that begins at 1 (Ville's inequality), and dividing by the greatest only makes it smaller. That holds for any counts, also
 * the first ones. The mixture: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; Johari,
 * Koomen, Pekelis, Walsh, "Always Valid Inference", 2022 (mSPRT). The division: Wasserman, Ramdas, Balakrishnan, "Universal
 * inference", 2020, section 8.
 */
export function evidenceOfWorse(candidate: Share, reference: Share, tolerance: number): number {
  if (!isShare(candidate) || !isShare(reference)) return 0;
  return mixture(candidate) + mixture(reference) - greatest(candidate, reference, tolerance);
}

/** The same for a share that is above a fixed limit. */
export function evidenceAbove(candidate: Share, limit: number): number {
  if (!isShare(candidate)) return 0;
  const share = rate(candidate);
  return mixture(candidate) - logLikelihood(candidate, Math.min(share, limit));
}

/** Whether evidence suffices where a false alarm may come with at most this probability. */
export function isProved(evidence: number, maxFalseAlarmRate: number): boolean {
  return evidence >= -Math.log(maxFalseAlarmRate);
}

/** Log-likelihood of the pair with `candidate <= reference + tolerance` under which the counts are the most likely. */
function greatest(candidate: Share, reference: Share, tolerance: number): number {
  const from = reference.of === 0 ? 1 : rate(reference);
  if (rate(candidate) <= from + tolerance)
    return logLikelihood(candidate, rate(candidate)) + logLikelihood(reference, rate(reference));
  // It lies where both differ by exactly the tolerance; the log-likelihood is concave there, so its slope changes sign once.
  let low = 0;
  let high = 1 - tolerance;
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const at = (low + high) / 2;
    if (slope(reference, at) + slope(candidate, at + tolerance) > 0) low = at;
    else high = at;
  }
  const at = (low + high) / 2;
  return logLikelihood(candidate, at + tolerance) + logLikelihood(reference, at);
}

function isShare({ of, bad }: Share): boolean {
  return Number.isSafeInteger(of) && Number.isSafeInteger(bad) && bad >= 0 && bad <= of;
}

function rate({ of, bad }: Share): number {
  return of === 0 ? 0 : bad / of;
}

function logLikelihood({ of, bad }: Share, share: number): number {
  const good = of - bad;
  return (bad === 0 ? 0 : bad * Math.log(share)) + (good === 0 ? 0 : good * Math.log1p(-share));
}

function slope({ of, bad }: Share, share: number): number {
  const good = of - bad;
  return (bad === 0 ? 0 : bad / share) - (good === 0 ? 0 : good / (1 - share));
}

/** Logarithm of the counts' likelihood, averaged over all shares by the Beta distribution. */
function mixture({ of, bad }: Share): number {
  return logBeta(bad + A, of - bad + B) - logBeta(A, B);
}

function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b);
}

/** Lanczos' approximation with g = 7 and nine terms (Godfrey's coefficients): to 15 digits for arguments from 1/2 on. */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
] as const;

function logGamma(x: number): number {
  const z = x - 1;
  const t = z + 7.5;
  const series = LANCZOS.reduce((sum, term, at) => (at === 0 ? term : sum + term / (z + at)), 0);
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(series);
}
