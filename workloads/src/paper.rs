//! What a paper says of a model, to be set beside what is counted and measured here.

/// What a paper says of a model's denoiser.
#[derive(Clone, Debug, PartialEq)]
pub struct Paper {
    /// The paper: `EdgeDiT, arXiv 2603.28405`.
    pub source: &'static str,
    /// What the counts are of: `one forward pass at 256×256`.
    pub of: &'static str,
    /// The paper's count of parameters.
    pub parameters: u64,
    /// The paper's count of multiply-accumulates; `None` where it gives none.
    pub macs: Option<u64>,
    /// The counts of our graph for the same pass.
    pub ours: Counts,
    /// Times that the paper gives, on other hardware: never to be ranked with ours.
    pub times: Vec<PaperTime>,
}

/// Counts of one forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Parameters.
    pub parameters: u64,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// A time that a paper gives for one forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperTime {
    /// On what.
    pub hardware: &'static str,
    /// By what; `None` where the paper does not say.
    pub runtime: Option<&'static str>,
    /// Seconds.
    pub seconds: f64,
}
