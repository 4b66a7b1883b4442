//! Random numbers that a seed repeats.

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    /// From the seed in `SENDPORT_TEST_SEED`, or a new one, which it prints.
    #[expect(clippy::print_stdout, reason = "a failure is repeated by its seed")]
    pub(super) fn from_environment() -> Self {
        let given = std::env::var("SENDPORT_TEST_SEED").ok();
        let fresh = || uuid::Uuid::new_v4().as_u64_pair().0;
        let seed = given.map_or_else(fresh, |seed| seed.parse().expect("a number"));
        println!("SENDPORT_TEST_SEED={seed}");
        Self(seed)
    }

    /// From 0 to below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let place = self.below(all.len() as u64);
        all[usize::try_from(place).expect("a small number")]
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
