//! The savepoint of a statement, to which the rows of a refused attempt are rolled back.

/// The numbers of rows that a writer has sent, and that the database did not store.
#[derive(Debug, Default, Clone, Copy)]
pub struct SentRows {
    /// Sent rows.
    pub sent: u64,
    /// Rows that the database did not store.
    pub not_stored: u64,
}

/// A savepoint, and the numbers of rows before it.
#[derive(Debug)]
pub struct Savepoint {
    first: &'static str,
    next: &'static str,
    state: State,
    before: SentRows,
}

#[derive(Debug, PartialEq)]
enum State {
    Missing,
    /// Nothing was written after it.
    Clean,
    Used,
}

impl Savepoint {
    /// Rolls back to the savepoint.
    pub const ROLLBACK: &'static str = "ROLLBACK TO SAVEPOINT landfall";

    /// `first` sets the savepoint; `next` sets it again, and the rows after the old one stay.
    pub const fn new(first: &'static str, next: &'static str) -> Self {
        Self { first, next, state: State::Missing, before: SentRows { sent: 0, not_stored: 0 } }
    }

    /// The statement that sets it after these rows; `None` if nothing was written since it was set.
    pub fn set(&mut self, before: SentRows) -> Option<&'static str> {
        let statement = match self.state {
            State::Missing => Some(self.first),
            State::Clean => None,
            State::Used => Some(self.next),
        };
        (self.state, self.before) = (State::Used, before);
        statement
    }

    /// Notes that the database has rolled back to it. Returns the numbers of rows before it.
    pub fn rolled_back(&mut self) -> SentRows {
        self.state = State::Clean;
        self.before
    }
}
