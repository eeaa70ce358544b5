//! Callers, right and wrong ones.
