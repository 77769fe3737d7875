//! Connections that one step of a write hands on to the next.

use std::sync::{Arc, Mutex, PoisonError};

/// Clean connections: each step on a new one would take some milliseconds more. Clones share them.
#[derive(Debug)]
pub(crate) struct Spares<C>(Arc<Mutex<Kept<C>>>);

#[derive(Debug)]
struct Kept<C> {
    connections: Vec<C>,
    most: usize,
}

/// Connections that are kept between epochs, at most: two for each of the writers that there can be.
const BETWEEN_EPOCHS: usize = 128;

impl<C> Default for Spares<C> {
    /// Keeps one connection.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Kept { connections: Vec::new(), most: 1 })))
    }
}

impl<C> Clone for Spares<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Spares<C> {
    /// The one that was used last.
    pub(crate) fn take(&self) -> Option<C> {
        self.kept(|kept| kept.connections.pop())
    }

    /// Keeps one, or gives it back where there are enough.
    pub(crate) fn keep(&self, connection: C) -> Option<C> {
        self.kept(|kept| match kept.connections.len() < kept.most {
            true => {
                kept.connections.push(connection);
                None
            }
            false => Some(connection),
        })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept(|kept| kept.connections.is_empty())
    }

    /// Keeps as many as epochs need, from now on until they are released.
    pub(crate) fn keep_for_epochs(&self) {
        self.kept(|kept| kept.most = BETWEEN_EPOCHS);
    }

    /// Gives all back, and keeps one from now on.
    pub(crate) fn release(&self) -> Vec<C> {
        self.kept(|kept| {
            kept.most = 1;
            std::mem::take(&mut kept.connections)
        })
    }

    fn kept<T>(&self, act: impl FnOnce(&mut Kept<C>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_kept_and_between_epochs_many() {
        let spares = Spares::default();
        assert_eq!((spares.keep(1), spares.keep(2), spares.take(), spares.take()), (None, Some(2), Some(1), None));
        spares.keep_for_epochs();
        assert_eq!((spares.keep(1), spares.keep(2), spares.release()), (None, None, vec![1, 2]));
        assert_eq!((spares.keep(1), spares.keep(2)), (None, Some(2)));
    }
}
