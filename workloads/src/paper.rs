//! What a paper says of a model, to be set beside what is counted and measured here.

/// What a paper says of a model's denoiser.
#[derive(Clone, Debug, PartialEq)]
pub struct Paper {
    /// The paper: `EdgeDiT, arXiv 2603.28405`.
    pub source: &'static str,
    /// What the counts are of: `one forward pass at 256×256`.
    pub of: &'static str,
    /// What the paper prints of parameters where it prints them to a digit or two: `0.4 B`.
    pub printed: Option<&'static str>,
    /// The paper's count of parameters; `None` where it prints none that could be compared.
    pub parameters: Option<u64>,
    /// The paper's count of multiply-accumulates; `None` where it gives none.
    pub macs: Option<u64>,
    /// What our own formula gives, worked out by hand from the paper's text, apart from the graph: for where the paper's counts
    /// are too coarse to hold a graph against.
    pub formula: Option<Counts>,
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

/// Times that a paper gives on hardware of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperTime {
    /// On what.
    pub hardware: &'static str,
    /// By what; `None` where the paper does not say.
    pub runtime: Option<&'static str>,
    /// Side of the square image, in pixels.
    pub side: u32,
    /// Seconds of one forward pass.
    pub seconds: f64,
    /// Seconds of the decoder; `None` where the paper does not say.
    pub decoder_s: Option<f64>,
    /// Denoiser steps of a whole image, and its seconds; `None` where the paper does not say.
    pub image: Option<(u32, f64)>,
}
