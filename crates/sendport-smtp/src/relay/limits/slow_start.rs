//! Connections are opened one after the other until so many were seen to work: a relay whose
//! limit is not known refuses one, and not all that were on their way.

/// The connections of one relay, counted.
#[derive(Debug, Default)]
pub(super) struct SlowStart {
    /// On their way, or open, or not closed by the server yet.
    open: u32,
    connecting: u32,
    established: u32,
    /// So many worked at the same time since there was none.
    proven: u32,
    /// One was not made, and what follows is not decided yet.
    unjudged: bool,
}

impl SlowStart {
    pub(super) fn established(&self) -> u32 {
        self.established
    }

    /// Another one may be opened where there may be `most`.
    pub(super) fn may_open(&self, most: u32) -> bool {
        let proven = self.connecting + self.established < self.proven;
        self.open < most && !self.unjudged && (self.connecting == 0 || proven)
    }

    pub(super) fn begin(&mut self) {
        self.open += 1;
        self.connecting += 1;
    }

    /// One that was on its way works; returns how many do.
    pub(super) fn made(&mut self) -> u32 {
        self.connecting -= 1;
        self.established += 1;
        self.proven = self.proven.max(self.established);
        self.established
    }

    /// One that was on its way does not work.
    pub(super) fn failed(&mut self) {
        self.connecting -= 1;
        self.unjudged = self.established > 0;
    }

    /// What did not work was reported.
    pub(super) fn judged(&mut self) {
        self.unjudged = false;
    }

    /// One that worked is not used any more.
    pub(super) fn left(&mut self) {
        self.established -= 1;
        if self.established == 0 {
            self.proven = 0;
            self.unjudged = false;
        }
    }

    /// The server does not count it any more.
    pub(super) fn gone(&mut self) {
        self.open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_open_one_after_the_other_until_so_many_worked() {
        let mut opening = SlowStart::default();
        for open in 0..3 {
            assert!(opening.may_open(10), "{open}");
            opening.begin();
            assert!(!opening.may_open(10), "one is on its way");
            opening.made();
        }
        assert!(!opening.may_open(3));
        for _ in 0..2 {
            opening.left();
            opening.gone();
        }
        for _ in 0..2 {
            assert!(opening.may_open(10), "as many worked before");
            opening.begin();
        }
        assert!(!opening.may_open(10));
    }

    #[test]
    fn one_that_was_refused_stops_the_next_until_that_is_understood() {
        let mut opening = SlowStart::default();
        opening.begin();
        opening.made();
        opening.begin();
        opening.failed();
        opening.gone();
        assert!(!opening.may_open(10));
        opening.judged();
        assert!(opening.may_open(10) && !opening.may_open(1));
    }
}
