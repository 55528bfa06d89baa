//! The link fault injector: bit errors, dropped, duplicated and truncated pages, seeded, one per direction.

use metrology_link::{PAGE, Page};

use crate::noise;

/// How often what goes wrong. All are probabilities, 0 to 1; bit errors per bit, the others per page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Flipped bits, per bit.
    pub bits: f64,
    /// Pages that never arrive.
    pub drop: f64,
    /// Pages that arrive twice.
    pub duplicate: f64,
    /// Pages of which only the beginning arrives.
    pub truncate: f64,
}

/// A fault setting that cannot be: the caller's fault, nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("faults: {0}")]
pub struct BadRates(pub String);

impl FaultRates {
    /// Reads `bits=1e-4 drop=0.1 dup=0.01 truncate=0.01`, in any order, separated by blanks or commas; what is not
    /// named is 0.
    ///
    /// # Errors
    /// An unknown name, or a number outside 0 to 1.
    pub fn parse(text: &str) -> Result<FaultRates, BadRates> {
        let mut rates = FaultRates::default();
        for part in text.split([' ', ',']).filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| BadRates(format!("{part:?} is not NAME=NUMBER")))?;
            let number: f64 = value.parse().map_err(|_| BadRates(format!("{value:?} is not a number")))?;
            if !(0.0..=1.0).contains(&number) {
                return Err(BadRates(format!("{name}={value} is outside 0 to 1")));
            }
            *match name {
                "bits" => &mut rates.bits,
                "drop" => &mut rates.drop,
                "dup" => &mut rates.duplicate,
                "truncate" => &mut rates.truncate,
                _ => return Err(BadRates(format!("{name:?}: expected bits, drop, dup or truncate"))),
            } = number;
        }
        Ok(rates)
    }

    /// Whether nothing goes wrong.
    pub fn none(&self) -> bool {
        *self == FaultRates::default()
    }
}

/// What became of a page: the pieces that arrive, in order. At most two, since a page is at most doubled.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    pieces: [Option<(Page, usize)>; 2],
}

impl Delivery {
    /// The bytes that arrive.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().flatten().map(|(page, len)| &page[..*len])
    }
}

/// One direction of a faulty wire.
#[derive(Clone, Debug)]
pub struct FaultInjector {
    rates: FaultRates,
    seed: u64,
    draws: u64,
    /// Bits until the next flipped one; drawn from the geometric distribution.
    until_flip: u64,
    /// What it has done so far.
    pub counts: FaultCounts,
}

/// What an injector has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Pages given to it.
    pub pages: u64,
    /// Flipped bits.
    pub bits: u64,
    /// Pages with at least one flipped bit.
    pub damaged: u64,
    /// Dropped pages.
    pub dropped: u64,
    /// Doubled pages.
    pub duplicated: u64,
    /// Truncated pages.
    pub truncated: u64,
}

impl FaultInjector {
    /// An injector; two with the same seed and the same pages do the same.
    pub fn new(rates: FaultRates, seed: u64) -> FaultInjector {
        let mut injector =
            FaultInjector { rates, seed: noise::mix(seed), draws: 0, until_flip: 0, counts: FaultCounts::default() };
        injector.until_flip = injector.draw_flip();
        injector
    }

    /// Changes the rates; the sequence goes on.
    pub fn set_rates(&mut self, rates: FaultRates) {
        self.rates = rates;
        self.until_flip = self.draw_flip();
    }

    /// The rates in force.
    pub fn rates(&self) -> FaultRates {
        self.rates
    }

    fn draw(&mut self) -> f64 {
        self.draws += 1;
        noise::unit(self.seed, 0, self.draws.cast_signed())
    }

    fn draw_flip(&mut self) -> u64 {
        if self.rates.bits <= 0.0 {
            return u64::MAX;
        }
        let u = 1.0 - self.draw();
        // Inverse of the geometric distribution; a rate of 1 flips every bit.
        (u.ln() / (1.0 - self.rates.bits).ln()).floor().max(0.0) as u64
    }

    /// Sends one page through the wire.
    pub fn pass(&mut self, page: &Page) -> Delivery {
        self.counts.pages += 1;
        if self.rates.none() {
            return Delivery { pieces: [Some((*page, PAGE)), None] };
        }
        // Always three draws per page, so that one rate does not shift the sequence of another.
        let (drop, duplicate, truncate) = (self.draw(), self.draw(), self.draw());
        if drop < self.rates.drop {
            self.counts.dropped += 1;
            return Delivery::default();
        }
        let damaged = self.flip(page);
        let mut len = PAGE;
        if truncate < self.rates.truncate {
            self.counts.truncated += 1;
            len = (self.draw() * PAGE as f64) as usize;
        }
        let second = if duplicate < self.rates.duplicate {
            self.counts.duplicated += 1;
            Some((self.flip(page), PAGE))
        } else {
            None
        };
        Delivery { pieces: [Some((damaged, len)), second] }
    }

    fn flip(&mut self, page: &Page) -> Page {
        const BITS: u64 = (PAGE * 8) as u64;
        let mut out = *page;
        let mut left = BITS;
        let mut any = false;
        while self.until_flip < left {
            left -= self.until_flip + 1;
            let bit = usize::try_from(BITS - left - 1).unwrap_or(0);
            out[bit / 8] ^= 1 << (bit % 8);
            self.counts.bits += 1;
            any = true;
            self.until_flip = self.draw_flip();
        }
        self.until_flip = self.until_flip.saturating_sub(left);
        self.counts.damaged += u64::from(any);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_kept_and_flips_are_real() {
        let rates = FaultRates { bits: 1e-4, drop: 0.1, duplicate: 0.05, truncate: 0.02 };
        let mut injector = FaultInjector::new(rates, 9);
        let page = [0xA5; PAGE];
        let n = 20_000;
        let (mut flipped, mut pieces, mut short) = (0u64, 0u64, 0u64);
        for _ in 0..n {
            for piece in injector.pass(&page).pieces() {
                pieces += 1;
                short += u64::from(piece.len() < PAGE);
                if piece.len() == PAGE {
                    flipped += piece.iter().map(|b| u64::from((b ^ 0xA5).count_ones())).sum::<u64>();
                }
            }
        }
        let near = |x: u64, expected: f64| ((x as f64 / expected) - 1.0).abs() < 0.1;
        let c = injector.counts;
        assert!(near(c.dropped, 2000.0) && near(c.duplicated, 900.0) && near(c.truncated, 360.0), "{c:?}");
        assert_eq!((c.pages, short), (n, c.truncated));
        assert_eq!(pieces, n - c.dropped + c.duplicated);
        let full = (pieces - short) as f64;
        assert!(near(flipped, full * 8192.0 * 1e-4), "{flipped}");
        // 1 - (1 - 1e-4)^8192 = 55.9 % of the pages are damaged.
        assert!(near(c.damaged, pieces as f64 * 0.559), "{c:?}");
    }

    #[test]
    fn same_seed_same_faults_and_none_means_none() {
        let rates = FaultRates { bits: 1e-3, drop: 0.2, duplicate: 0.2, truncate: 0.2 };
        let (mut a, mut b, mut c) =
            (FaultInjector::new(rates, 1), FaultInjector::new(rates, 1), FaultInjector::new(rates, 2));
        let page = [0; PAGE];
        let run = |i: &mut FaultInjector| -> Vec<Vec<u8>> {
            (0..50).flat_map(|_| i.pass(&page).pieces().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
        };
        let first = run(&mut a);
        assert_eq!(first, run(&mut b));
        assert_ne!(first, run(&mut c));
        let mut clean = FaultInjector::new(FaultRates::default(), 1);
        assert!((0..100).all(|_| clean.pass(&page).pieces().eq([&page[..]])));
    }

    #[test]
    fn every_bit_flips_at_rate_one() {
        let mut all = FaultInjector::new(FaultRates { bits: 1.0, ..FaultRates::default() }, 1);
        assert!(all.pass(&[0; PAGE]).pieces().all(|p| p.iter().all(|b| *b == 0xFF)));
    }

    #[test]
    fn settings_are_read_or_refused() {
        let rates = FaultRates::parse("bits=1e-4 drop=0.1,dup=0.2").unwrap();
        assert_eq!(rates, FaultRates { bits: 1e-4, drop: 0.1, duplicate: 0.2, truncate: 0.0 });
        assert!(FaultRates::parse("").unwrap().none());
        for bad in ["bits", "bits=x", "drop=1.5", "drop=-0.1", "drop=nan", "loss=0.1"] {
            assert!(FaultRates::parse(bad).is_err(), "{bad}");
        }
    }
}
