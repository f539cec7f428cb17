//! `--format text`: the summary for people. The verdict first, then what it rests on, then what could not be seen.

mod coverage;
mod layout;
mod notes;
mod page;
mod sections;
mod verdict;

pub(super) use layout::Layout;
pub(super) use notes::Report;

#[cfg(test)]
mod tests;
