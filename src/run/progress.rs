//! What a person sees while a run goes on: a bar on a terminal, a line per launch elsewhere.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use ditbench_reports::text::inert;

use crate::text;

/// Where there is no terminal, what goes on now is a line at most this often: a log shows that something does.
const EVERY: Duration = Duration::from_secs(30);

/// Progress of a run over its launches.
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
    said: Mutex<Option<Instant>>,
}

impl Progress {
    /// Of so many launches, at most.
    pub fn new(launches: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(launches as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:24}] {pos}/{len} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(500));
        let lines = bar.is_hidden();
        Self { bar, lines, said: Mutex::new(None) }
    }

    /// What is going on now.
    pub fn now(&self, message: String) {
        let said = self.said.lock().ok().filter(|said| said.is_none_or(|said| said.elapsed() >= EVERY));
        if let Some(mut said) = said.filter(|_| self.lines) {
            *said = Some(Instant::now());
            text::tell(&format!("{} {message}", text::clock(self.bar.elapsed().as_secs_f64())));
        }
        self.bar.set_message(inert(&message).into_owned());
    }

    /// Something that should stay on the screen.
    pub fn line(&self, message: &str) {
        if self.lines {
            text::tell(message);
        } else {
            self.bar.println(inert(message));
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
