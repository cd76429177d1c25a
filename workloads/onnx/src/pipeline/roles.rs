//! What an input of a component is for, by its name.
//!
//! Exporters call one and the same axis `height`, `latent_height`, `s30` or nothing, so sizes go by what an input is for.

/// What an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Token ids.
    Tokens,
    /// Which tokens attention reads.
    Mask,
    /// The latent.
    Latent,
    /// The timestep.
    Time,
    /// The text, a vector a token.
    Text,
    /// The text, one vector.
    Pooled,
    /// Original size, crop and target size (SDXL).
    Sizes,
    /// The guidance scale.
    Guidance,
    /// The guidance scale as sinusoids (LCM).
    GuidanceFeatures,
    /// Row and column of each packed token of the latent (FLUX).
    ImagePositions,
    /// The same of text tokens: zeros.
    TextPositions,
}

/// Which part of the pipeline a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Encoder,
    Denoiser,
    Decoder,
}

impl Part {
    /// What it cannot do without.
    pub(crate) fn needs(self) -> &'static [Role] {
        match self {
            Self::Encoder => &[Role::Tokens],
            Self::Denoiser => &[Role::Latent, Role::Time],
            Self::Decoder => &[Role::Latent],
        }
    }

    fn known(self) -> &'static [(&'static str, Role)] {
        match self {
            Self::Encoder => ENCODER,
            Self::Denoiser => DENOISER,
            Self::Decoder => DECODER,
        }
    }
}

const ENCODER: &[(&str, Role)] =
    &[("input_ids", Role::Tokens), ("tokens", Role::Tokens), ("attention_mask", Role::Mask)];

const DENOISER: &[(&str, Role)] = &[
    ("sample", Role::Latent),
    ("latent", Role::Latent),
    ("hidden_states", Role::Latent),
    ("timestep", Role::Time),
    ("timesteps", Role::Time),
    ("t", Role::Time),
    ("encoder_hidden_states", Role::Text),
    ("text_emb", Role::Text),
    ("context", Role::Text),
    ("text_embeds", Role::Pooled),
    ("pooled_projections", Role::Pooled),
    ("y", Role::Pooled),
    ("encoder_attention_mask", Role::Mask),
    ("time_ids", Role::Sizes),
    ("guidance", Role::Guidance),
    ("timestep_cond", Role::GuidanceFeatures),
    ("img_ids", Role::ImagePositions),
    ("txt_ids", Role::TextPositions),
];

const DECODER: &[(&str, Role)] = &[("latent_sample", Role::Latent), ("latent", Role::Latent), ("sample", Role::Latent)];

/// The role of an input, if its name is known.
pub(crate) fn role(part: Part, name: &str) -> Option<Role> {
    part.known().iter().find(|(known, _)| *known == name).map(|&(_, role)| role)
}

/// The names that are known, for an error.
pub(crate) fn names(part: Part) -> String {
    part.known().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
