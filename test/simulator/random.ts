// Chance for the simulator: one seeded stream per entity, so that one more caller does not shift what others draw.

export class Random {
  readonly #state: Uint32Array;

  /** The stream of `name` in the run `seed`. */
  constructor(name: string, seed: number) {
    this.#state = new Uint32Array([fnv(name, 1), fnv(name, 2) ^ seed, fnv(`${seed}`, 3), 1]);
    // The first draws of similar seeds resemble one another.
    for (let round = 0; round < 12; round += 1) this.next();
  }

  /** Uniform in [0, 1): sfc32. */
  next(): number {
    const state = this.#state;
    const [a = 0, b = 0, c = 0, count = 0] = state;
    const sum = (a + b + count) | 0;
    state[3] = count + 1;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  }

  /** Mean 0, deviation 1 (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  lognormal(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.normal());
  }

  /** Mean 1. A shape below 1 is burstier than Poisson (Marsaglia and Tsang, with Johnk's boost below 1). */
  gamma(shape: number): number {
    const boosted = shape < 1 ? shape + 1 : shape;
    const boost = shape < 1 ? (1 - this.next()) ** (1 / shape) : 1;
    const d = boosted - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v <= 0) continue;
      const u = 1 - this.next();
      if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return (d * v * boost) / shape;
    }
  }
}

/** FNV-1a. */
function fnv(text: string, salt: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(salt, 0x9e3779b1);
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
