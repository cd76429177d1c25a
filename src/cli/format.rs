//! How a command prints what it found, and writes it.

use std::path::Path;

use anyhow::{Context, Result};

use crate::text;

/// A face of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal
    #[default]
    Text,
    /// For an issue or a pull request
    Markdown,
    /// For a program
    Json,
}

/// An answer in every format.
pub struct Faces {
    /// For a terminal.
    pub text: String,
    /// For an issue or a pull request.
    pub markdown: String,
    /// For a program.
    pub json: String,
}

impl Faces {
    /// Prints one of them.
    pub fn print(&self, format: Format) {
        match format {
            Format::Text => text::show(&self.text),
            Format::Markdown => text::data(&self.markdown),
            Format::Json => text::data(&self.json),
        }
    }

    /// Writes NAME.json and NAME.md into a directory.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, dir: &Path, name: &str) -> Result<()> {
        for (ending, face) in [("json", &self.json), ("md", &self.markdown)] {
            let file = dir.join(format!("{name}.{ending}"));
            std::fs::write(&file, face).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}
