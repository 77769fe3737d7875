//! The protocol as a pure function: from the state of a global transaction and an event to the next state and action.
//!
//! ```text
//!           Ready                  Stands(commit)
//! Active ───────────▶ Deciding ────────────────────▶ Completing(commit) ──┐
//!   │  │                 │  └──── Stands(abort) ───▶ Completing(abort)  ──┤ Completed
//!   │  │ Ready, with     └─────── Silent ──┐              ▲               ▼
//!   │  │ a last agent                      ▼              │             Ended
//!   │  └──▶ LastAgent ── Stands ───────────│──────────────┤
//!   │           └── Refused, Silent ─┐  InDoubt           │
//!   │                                ▼     ▲              │
//!   │                             Settling ┘ Silent       │
//!   │                                ▲  └─── Stands ──────┤
//!   │                                │ Undecided          │
//!   │                              Found ─── Stands ──────┤     a branch that recovery found
//!   └─ Refused ─▶ Refusing ────────── Stands, Silent ─────┘
//! ```
//!
//! A manager starts at `Active` with its own transaction, recovery at `Found` with a transaction that it found. From
//! there both follow the same arrows, so they cannot disagree.

use crate::txn::Decision;

/// The state of a global transaction, as its driver knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its branches are being written, and then asked to prepare.
    Active,
    /// A branch failed. The transaction aborts; its commit was never proposed.
    Refusing,
    /// Its commit is proposed to the log.
    Deciding,
    /// The branch that cannot prepare commits, and with it the decision.
    LastAgent,
    /// Its abort is proposed, so that the log decides either way.
    Settling,
    /// Recovery found it prepared, and did not ask the log yet.
    Found,
    /// The log is unavailable. The branches must stay prepared.
    InDoubt,
    /// It is decided. Its branches are being completed.
    Completing(Decision),
    /// Every branch is complete.
    Ended(Decision),
}

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Every branch is prepared.
    Ready,
    /// Every branch is prepared except one, which uses one-phase commit.
    ReadyForLastAgent,
    /// A branch failed. It is rolled back, or will be.
    Refused,
    /// The log has no record for the epoch or a later one.
    Undecided,
    /// The log returned a record: commit if this transaction's commit stands, otherwise abort.
    Stands(Decision),
    /// The log was unavailable until the retries ended.
    Silent,
    /// Every branch is complete.
    Completed,
}

/// An action of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Propose this decision to the log. Repeat until the log returns a record.
    Decide(Decision),
    /// Commit the branch that cannot prepare, with the decision record in it.
    CommitLastAgent,
    /// Complete every branch. Repeat until each is complete.
    Complete(Decision),
    /// Leave the branches as they are.
    Leave,
    /// Done.
    End,
}

impl State {
    /// The next state and the action in it; `None` if the event cannot happen in this state.
    pub fn next(self, event: Event) -> Option<(Self, Action)> {
        use Decision::{Abort, Commit};
        Some(match (self, event) {
            (Self::Active, Event::Ready) => (Self::Deciding, Action::Decide(Commit)),
            (Self::Active, Event::ReadyForLastAgent) => (Self::LastAgent, Action::CommitLastAgent),
            (Self::Active, Event::Refused) => (Self::Refusing, Action::Decide(Abort)),
            // Whatever the last agent says: its record is in the log, or an abort shall be.
            (Self::LastAgent, Event::Refused | Event::Silent) | (Self::Found, Event::Undecided) => {
                (Self::Settling, Action::Decide(Abort))
            }
            (Self::Deciding | Self::Settling | Self::Found, Event::Silent) => (Self::InDoubt, Action::Leave),
            // Only its manager proposes to commit a transaction, and it did not come to that.
            (Self::Refusing, Event::Silent) => (Self::Completing(Abort), Action::Complete(Abort)),
            (
                Self::Refusing | Self::Deciding | Self::LastAgent | Self::Settling | Self::Found,
                Event::Stands(decision),
            ) => (Self::Completing(decision), Action::Complete(decision)),
            (Self::Completing(decision), Event::Completed) => (Self::Ended(decision), Action::End),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{Abort, Commit};

    const STATES: [State; 11] = [
        State::Active,
        State::Refusing,
        State::Deciding,
        State::LastAgent,
        State::Settling,
        State::Found,
        State::InDoubt,
        State::Completing(Commit),
        State::Completing(Abort),
        State::Ended(Commit),
        State::Ended(Abort),
    ];
    const EVENTS: [Event; 8] = [
        Event::Ready,
        Event::ReadyForLastAgent,
        Event::Refused,
        Event::Undecided,
        Event::Stands(Commit),
        Event::Stands(Abort),
        Event::Silent,
        Event::Completed,
    ];

    #[test]
    fn branches_are_committed_only_where_the_log_says_so() {
        for state in STATES {
            for event in EVENTS {
                if let Some((_, Action::Complete(Commit))) = state.next(event) {
                    assert_eq!(event, Event::Stands(Commit), "{state:?}");
                }
            }
        }
    }

    #[test]
    fn a_silent_log_rolls_nothing_back_that_was_proposed_to_commit() {
        for state in [State::Deciding, State::Settling, State::Found] {
            assert_eq!(state.next(Event::Silent), Some((State::InDoubt, Action::Leave)));
        }
    }

    #[test]
    fn commit_is_proposed_only_when_every_branch_is_ready() {
        for state in STATES {
            for event in EVENTS {
                let proposes = matches!(state.next(event), Some((_, Action::Decide(Commit) | Action::CommitLastAgent)));
                let ready = matches!(event, Event::Ready | Event::ReadyForLastAgent);
                assert_eq!(proposes, ready && state == State::Active, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn what_is_over_stays_as_it_is() {
        for event in EVENTS {
            for state in [State::InDoubt, State::Ended(Commit), State::Ended(Abort)] {
                assert_eq!(state.next(event), None, "{state:?} {event:?}");
            }
        }
    }
}
