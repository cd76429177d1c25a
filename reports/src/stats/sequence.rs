//! Looking more than once: what each look may risk, so that all looks together risk no more than one would.
//!
//! Contract: the error α is spent as O'Brien and Fleming's boundary does (Lan and DeMets 1983): α(t) = 2 − 2Φ(z₁₋α/₂ ÷ √t)
//! at the share t of all launches. Each look gets the part newly spent, so the sum over looks is at most α whatever the
//! correlation between them (Boole's inequality; a little cautious). Early looks stop only for what is glaring; the last one
//! keeps nearly all of α.

use super::normal;

/// What may be spent until the share `t` (0..1) of all launches is in.
pub fn spent(alpha: f64, t: f64) -> f64 {
    if t <= 0.0 {
        return 0.0;
    }
    2.0 * normal::upper(normal::quantile(1.0 - alpha / 2.0) / t.min(1.0).sqrt())
}

/// What a look at share `now` may risk, the last look having been at share `before` (0 for the first).
pub fn level(alpha: f64, before: f64, now: f64) -> f64 {
    (spent(alpha, now) - spent(alpha, before)).max(0.0)
}
