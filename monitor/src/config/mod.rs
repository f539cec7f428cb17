//! The settings of `h2watch watch`: one table ([`SETTINGS`]) that flags, environment, file, `config print` and docs/config.md follow.

mod check;
mod file;
mod load;
mod machine;
mod memory;
mod near;
mod print;
mod problem;
mod reload;
mod settings;
#[cfg(test)]
mod tests;
mod units;
mod values;

pub use load::{DEFAULT_FILE, FILE_VARIABLE, Loaded, Sources, inspect, load};
pub use print::{print, reference};
pub use problem::{Origin, Problem};
pub use reload::{Changes, Reloader};
pub use settings::{Group, Kind, OnReload, SETTINGS, Setting};
pub use units::{Size, Span};
pub use values::{Color, Destination, SummaryFormat, Values};
