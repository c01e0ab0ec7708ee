// When to connect again: pure arithmetic on attempts and a random number.

/** The beat of reconnecting. */
const PERIOD_MS = 5_000;
/** Part of the period by which an attempt may be early or late, so that a room's viewers do not come back as one. */
const JITTER = 0.2;
/** The first attempt after a drop comes soon: 200 to 1,000 ms. */
const FIRST_MIN_MS = 200;
const FIRST_SPREAD_MS = 800;
/** Where the server refuses this viewer or room, hurry helps nobody. */
const REFUSED_PERIOD_MS = 30_000;

/** Delay before attempt `attempt` (0 is the first after a drop), ms; `random` is in 0..1. */
export function reconnectDelayMs(attempt: number, random: number): number {
  return attempt === 0 ? FIRST_MIN_MS + Math.round(random * FIRST_SPREAD_MS) : spread(PERIOD_MS, random);
}

/** Delay before asking again after a refusal, ms. */
export function refusedDelayMs(random: number): number {
  return spread(REFUSED_PERIOD_MS, random);
}

function spread(periodMs: number, random: number): number {
  return Math.round(periodMs * (1 - JITTER + 2 * JITTER * random));
}
