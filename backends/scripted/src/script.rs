//! What a script may say.

use serde::Deserialize;

/// How the scripted backend behaves. What is left out is as in [`Script::default`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Milliseconds to make a session.
    pub compile_ms: f64,
    /// Milliseconds of a pass of the text encoder.
    pub text_encoder_ms: f64,
    /// Milliseconds of a denoiser step.
    pub denoiser_ms: f64,
    /// Exponent of the pixels of the latent, against one of 8 × 8, by which a denoiser step takes longer.
    pub denoiser_grows: f64,
    /// Milliseconds of a pass of the decoder.
    pub decoder_ms: f64,
    /// Standard deviation, as a share, by which whole launches differ in speed.
    pub launch_noise: f64,
    /// MiB that each session holds.
    pub memory_mib: usize,
    /// Share of the nodes that do not run on the device asked for, 0 to 1.
    pub elsewhere: f64,
    /// MiB that it takes to say where nodes run, as a runtime takes that must be run for it.
    pub placement_mib: usize,
    /// Relative error added to every result.
    pub wrong: f64,
    /// Relative error added where weights are in few bits, beside that.
    pub few_bits_error: f64,
    /// What each pass prints to standard output, as it is: what a careless library does to whoever reads it.
    pub print: String,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            compile_ms: 1.0,
            text_encoder_ms: 0.2,
            denoiser_ms: 3.0,
            denoiser_grows: 0.0,
            decoder_ms: 1.0,
            launch_noise: 0.0,
            memory_mib: 0,
            elsewhere: 0.0,
            placement_mib: 0,
            wrong: 0.0,
            few_bits_error: 0.02,
            print: String::new(),
        }
    }
}
