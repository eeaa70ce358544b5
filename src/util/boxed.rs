//! A future of any kind behind a pointer.

use std::pin::Pin;

/// A future of any kind: tasks of it are compiled once for each result, and not once for
/// each future.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The future, behind a pointer.
pub fn boxed<T>(future: impl Future<Output = T> + Send + 'static) -> Boxed<T> {
    Box::pin(future)
}
