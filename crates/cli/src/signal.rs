//! The signals that stop a statement.

use crate::message::Failure;

/// Ctrl-C, or the signal that stops a service.
pub(crate) struct StopSignal {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl StopSignal {
    pub(crate) fn listen() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let failed = |error: std::io::Error| Failure::new(format!("could not listen for signals: {error}"));
            let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
            Ok(Self { signals: [interrupt.map_err(failed)?, terminate.map_err(failed)?] })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Whether a signal has arrived, without waiting.
    pub(crate) async fn has_arrived(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.asked() => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Waits for the next signal. Cancel safe: a signal that arrived in between is not lost.
    pub(crate) async fn asked(&mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(not(unix))]
        {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
