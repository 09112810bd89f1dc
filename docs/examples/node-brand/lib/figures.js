// What a committed transfer comes to, worked out again from the rates in its record: all integers, every rounding with
// one direction.

const BASIS = 10_000n;
const big = BigInt;

/** Throws unless the figures of a committed record follow from the rates beside them. */
export function checkRecord(record) {
  const { source_units: given, target_units: got } = record.block_rate;
  const blocks = divided(big(record.source_points), big(given), "source_points are no whole blocks");
  const base = blocks * big(got);
  let points = base;
  if (record.segment) {
    const { multiplier_numerator: top, multiplier_denominator: bottom } = record.segment;
    points += (base * (big(top) - big(bottom))) / big(bottom);
  }
  let bonuses = 0n;
  for (const each of record.promotions) {
    const bonus = (base * big(each.bonus_basis_points)) / BASIS;
    must(bonus === big(each.bonus_points), `the bonus of ${each.promotion_id}`);
    must(priced(record, bonus) === big(each.value), `the value of ${each.promotion_id}`);
    const parts = split(big(each.value), each.shares.map((share) => big(share.share_basis_points)));
    must(each.shares.every((share, i) => big(share.amount) === parts[i]), `the shares of ${each.promotion_id}`);
    bonuses += bonus;
  }
  must(points + bonuses === big(record.target_points), "target_points");
  const value = priced(record, points);
  must(value === big(record.value), "value");
  must(taxOn(value, record.value_tax_basis_points) === big(record.value_tax), "value_tax");
  return { points, value };
}

/** Throws unless a reversal gives back the points that its part of the transfer comes to. */
export function checkReversal(record) {
  const [all, granted] = [big(record.transfer_source_points), big(record.transfer_target_points)];
  const until = (reversed) => (all * reversed) / granted;
  const [now, before] = [big(record.reversed_points), big(record.reversed_points) - big(record.target_points)];
  must(before >= 0n && now <= granted, "reversed_points");
  must(until(now) - until(before) === big(record.source_points), "source_points");
}

/** Throws unless fee and tax of a source or target part follow from its terms. */
export function checkFee(part, { points, value }) {
  const terms = part.fee_terms;
  if (!terms) return must(big(part.fee) === 0n && big(part.tax) === 0n, "a fee without terms");
  let fee = (value * big(terms.basis_points) + BASIS - 1n) / BASIS;
  fee += points * big(terms.per_target_point) + big(terms.fixed);
  if (fee < big(terms.minimum)) fee = big(terms.minimum);
  if (big(terms.maximum) && fee > big(terms.maximum)) fee = big(terms.maximum);
  must(fee === big(part.fee), "fee");
  must(taxOn(fee, part.tax_basis_points) === big(part.tax), "tax");
}

/** The tax on an amount: to the nearest unit, halves to the even one. */
export function taxOn(amount, basisPoints) {
  const exact = amount * big(basisPoints);
  const [whole, rest] = [exact / BASIS, exact % BASIS];
  const up = rest * 2n > BASIS || (rest * 2n === BASIS && whole % 2n === 1n);
  return up ? whole + 1n : whole;
}

/** The amount by shares: rounded down, then a unit more for each of the largest remainders, the earlier one first. */
export function split(amount, shares) {
  const parts = shares.map((share) => (amount * share) / BASIS);
  const remainders = shares.map((share, i) => [i, (amount * share) % BASIS]);
  remainders.sort(([i, one], [j, other]) => (one === other ? i - j : other > one ? 1 : -1));
  const missing = Number(amount - parts.reduce((sum, part) => sum + part, 0n));
  for (const [i] of remainders.slice(0, missing)) parts[i] += 1n;
  return parts;
}

function priced(record, points) {
  const single = big(record.price_per_target_point);
  if (single) return points * single;
  return divided(points * big(record.price_per_thousand_target_points), 1000n, "a value is no whole unit");
}

function divided(amount, by, fault) {
  must(amount % by === 0n, fault);
  return amount / by;
}

function must(holds, what) {
  if (!holds) throw new Error(`the record's figures do not follow from its rates: ${what}`);
}
