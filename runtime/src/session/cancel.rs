//! Stops an answer from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cancels the answer of the session it came from. Clones cancel the same session; none ever waits
/// for it.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle {
    cancelled: Arc<AtomicBool>,
}

impl CancelHandle {
    /// Ends the answer at its next step: before the next token, or the next part of the prompt.
    /// Starting another answer takes it back.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether the answer in progress has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn clear(&self) {
        self.cancelled.store(false, Ordering::Release);
    }
}
