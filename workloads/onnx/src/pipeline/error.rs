//! Why an image was not made.

/// A runtime's own words.
pub type RunError = Box<dyn std::error::Error + Send + Sync>;

/// Why an image was not made.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The inputs of the image do not fit the plan: a mistake of the caller.
    #[error("these inputs are not those of the plan: {0}")]
    Inputs(String),
    /// A component cannot be fed what is there for it.
    #[error("{component}: input \"{input}\" {why}")]
    Feed {
        /// The component.
        component: String,
        /// Its input.
        input: String,
        /// What does not fit.
        why: String,
    },
    /// A component failed.
    #[error("{component} failed: {source}")]
    Run {
        /// The component.
        component: String,
        /// The runtime's own words.
        source: RunError,
    },
    /// A component gave something else than its place in the pipeline needs.
    #[error("{component} gave {found}, but {wanted} is needed")]
    Output {
        /// The component.
        component: String,
        /// What came.
        found: String,
        /// What was needed.
        wanted: String,
    },
}
