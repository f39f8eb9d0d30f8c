//! When requests are meant to be sent, from a seed.

use std::time::Duration;

/// The rhythm of an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrival {
    /// Equal distances.
    Constant,
    /// Independent callers: distances are exponential.
    Poisson,
}

/// Random numbers that a seed repeats (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In (0, 1].
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

impl Arrival {
    /// Moments of sending, from the start of the run until its end.
    pub(crate) fn times(self, rate: f64, length: Duration, seed: u64) -> Vec<Duration> {
        let mut random = Random::new(seed);
        let mut times = Vec::new();
        let mut at = 0.0;
        while at < length.as_secs_f64() {
            times.push(Duration::from_secs_f64(at));
            at = match self {
                // From the count, not the sum: a sum of many small steps drifts.
                Self::Constant => times.len() as f64 / rate,
                Self::Poisson => at - random.share().ln() / rate,
            };
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_rhythms_keep_the_rate_and_a_seed_repeats() {
        let second = Duration::from_secs(10);
        assert_eq!(Arrival::Constant.times(100.0, second, 1).len(), 1000);
        let times = Arrival::Poisson.times(1000.0, second, 7);
        assert!((9_500..10_500).contains(&times.len()), "{}", times.len());
        assert_eq!(times, Arrival::Poisson.times(1000.0, second, 7));
        assert_ne!(times, Arrival::Poisson.times(1000.0, second, 8));
    }
}
