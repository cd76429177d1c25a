//! The pipelines that are known, and how their components work together.

/// How the components of a pipeline work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stable Diffusion 1 and 2, SD-Turbo: one CLIP, a U-Net.
    Sd,
    /// The same, distilled to consistency: the guidance scale is an input.
    Lcm,
    /// Stable Diffusion XL: two CLIPs, a U-Net that is told sizes.
    Sdxl,
    /// Stable Diffusion 3: two CLIPs and a T5, a transformer.
    Sd3,
    /// FLUX.1: a CLIP for the pooled text, a T5, a transformer on packed latents.
    Flux,
    /// PixArt-Σ: a T5, a transformer.
    Pixart,
}

impl Kind {
    const CLASSES: [(&str, Self); 6] = [
        ("StableDiffusionPipeline", Self::Sd),
        ("LatentConsistencyModelPipeline", Self::Lcm),
        ("StableDiffusionXLPipeline", Self::Sdxl),
        ("StableDiffusion3Pipeline", Self::Sd3),
        ("FluxPipeline", Self::Flux),
        ("PixArtSigmaPipeline", Self::Pixart),
    ];

    /// The kind of a pipeline's class. optimum writes its own classes' names, diffusers' ONNX pipelines theirs.
    pub fn of(class: &str) -> Option<Self> {
        let class = class.strip_prefix("ORT").or_else(|| class.strip_prefix("Onnx")).unwrap_or(class);
        Self::CLASSES.iter().find(|(name, _)| *name == class).map(|&(_, kind)| kind)
    }

    /// All classes, for an error.
    pub(crate) fn classes() -> String {
        Self::CLASSES.map(|(name, _)| name).join(", ")
    }

    /// Its text encoders, by the names of their folders.
    pub fn encoders(self) -> &'static [&'static str] {
        match self {
            Self::Sd | Self::Lcm | Self::Pixart => &["text_encoder"],
            Self::Sdxl | Self::Flux => &["text_encoder", "text_encoder_2"],
            Self::Sd3 => &["text_encoder", "text_encoder_2", "text_encoder_3"],
        }
    }

    /// The name of its denoiser's folder.
    pub fn denoiser(self) -> &'static str {
        match self {
            Self::Sd | Self::Lcm | Self::Sdxl => "unet",
            Self::Sd3 | Self::Flux | Self::Pixart => "transformer",
        }
    }

    /// Tokens of a T5's text if nobody says, as the pipeline in diffusers has it.
    pub fn t5_tokens(self, guidance_inside: bool) -> usize {
        match self {
            Self::Sd3 => 256,
            // FLUX.1 schnell was trained with half of dev's.
            Self::Flux if !guidance_inside => 256,
            Self::Flux => 512,
            _ => 300,
        }
    }

    /// The guidance scale that a denoiser with that input is told if nobody says.
    pub fn inside_guidance(self) -> f64 {
        if self == Self::Lcm { 8.5 } else { 3.5 }
    }
}

/// The family of a text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// CLIP: 77 tokens between a start and an end.
    Clip,
    /// T5: an end, then padding that attention skips.
    T5,
}

impl Family {
    /// The family of a class in transformers.
    pub fn of(class: &str) -> Option<Self> {
        match class {
            _ if class.starts_with("CLIPText") => Some(Self::Clip),
            "T5EncoderModel" => Some(Self::T5),
            _ => None,
        }
    }
}
