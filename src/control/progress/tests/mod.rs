//! Tests of the judgements, as tables and as stories.

mod causes;
mod follow;
mod judge;
pub(super) mod samples;
mod story;
mod words;
