use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far the input was read, on standard error. Goes away when finished or dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total_bytes` of input; 0: not known (standard input), then only what was done is shown. Shows nothing unless `enabled`.
    #[must_use]
    pub fn new(total_bytes: u64, enabled: bool) -> Self {
        if !enabled {
            return Self { bar: ProgressBar::hidden() };
        }
        let (length, template) = match total_bytes {
            0 => (None, "{spinner} reading  {bytes} at {bytes_per_sec}"),
            _ => (Some(total_bytes), "reading [{wide_bar}] {percent} % of {total_bytes}, {eta} left"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style.progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// So many bytes are done, in all.
    pub fn advance(&self, bytes_done: u64) {
        self.bar.set_position(bytes_done);
    }

    /// The bar goes away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn a_disabled_bar_shows_nothing_and_counts_nothing_wrong() {
        let progress = Progress::new(10, false);
        progress.advance(20);
        progress.finish();
        assert!(progress.bar.is_hidden());
    }
}
