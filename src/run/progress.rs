//! What a person sees while a run goes on: a bar on a terminal, a line per launch elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text;

/// Progress of a run over its launches.
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    /// Of so many launches, at most.
    pub fn new(launches: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(launches as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:24}] {pos}/{len} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        let lines = bar.is_hidden();
        Self { bar, lines }
    }

    /// What is going on now.
    pub fn now(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Something that should stay on the screen.
    pub fn line(&self, message: &str) {
        if self.lines {
            text::tell(message);
        } else {
            self.bar.println(message);
        }
    }

    /// One launch is done.
    pub fn launch_done(&self, name: &str, outcome: &str) {
        self.bar.inc(1);
        if self.lines {
            text::tell(&format!("{} {name}: {outcome}", text::clock(self.bar.elapsed().as_secs_f64())));
        }
    }

    /// The end.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
