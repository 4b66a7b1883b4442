//! Connections are opened one after the other until some have worked: a relay with an
//! unknown limit then refuses one, and not all that are being made.

/// The connections of one relay, counted.
#[derive(Debug, Default)]
pub(super) struct SlowStart {
    /// Being made, open, or not closed by the server yet.
    open: u32,
    connecting: u32,
    established: u32,
    /// The highest number that worked at the same time since there was none.
    proven: u32,
    /// A connection failed, and the failure is not reported yet.
    unjudged: bool,
}

impl SlowStart {
    pub(super) fn established(&self) -> u32 {
        self.established
    }

    /// Whether another one may be opened, with `most` as the limit.
    pub(super) fn may_open(&self, most: u32) -> bool {
        let proven = self.connecting + self.established < self.proven;
        self.open < most && !self.unjudged && (self.connecting == 0 || proven)
    }

    pub(super) fn begin(&mut self) {
        self.open += 1;
        self.connecting += 1;
    }

    /// A connection was made; returns how many work.
    pub(super) fn made(&mut self) -> u32 {
        self.connecting -= 1;
        self.established += 1;
        self.proven = self.proven.max(self.established);
        self.established
    }

    /// A connection was not made.
    pub(super) fn failed(&mut self) {
        self.connecting -= 1;
        self.unjudged = self.established > 0;
    }

    /// The failure was reported.
    pub(super) fn judged(&mut self) {
        self.unjudged = false;
    }

    /// A connection that worked is no longer used.
    pub(super) fn left(&mut self) {
        self.established -= 1;
        if self.established == 0 {
            self.proven = 0;
            self.unjudged = false;
        }
    }

    /// The server no longer counts a connection.
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
