//! Reads reports of other mail systems from folders, and records them.

mod folder;
mod proof;
mod reader;

pub use folder::folder_problems;
pub use proof::Proofs;
pub use reader::{FeedbackReader, FeedbackReaderDependencies};
