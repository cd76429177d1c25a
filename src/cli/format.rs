//! How a command prints what it found.

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
