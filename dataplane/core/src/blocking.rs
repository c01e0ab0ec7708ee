//! A resource that blocks (a database connection), used from asynchronous code.

use std::sync::Arc;

use tokio::sync::Mutex;

/// Shares `T` between tasks; uses run on the blocking pool, one at a time, in the order they were asked for.
pub struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// Runs `work` with the resource. A panic in `work` goes on in the caller.
    pub async fn run<R: Send + 'static>(&self, work: impl FnOnce(&mut T) -> R + Send + 'static) -> R {
        // Waiting here, not in the pool: thousands may wait, and each would hold a thread.
        let mut resource = Arc::clone(&self.0).lock_owned().await;
        match tokio::task::spawn_blocking(move || work(&mut resource)).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
