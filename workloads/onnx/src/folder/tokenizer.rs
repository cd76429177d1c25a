//! The tokenizer of a folder: from a prompt to token ids.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, TruncationParams};

use super::Family;
use super::json::{self, JsonError};

/// Most tokens of a text.
const MOST: usize = 65536;

/// A tokenizer that cannot be read or fails.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct TokenizerError {
    /// The tokenizer's folder.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// Token ids of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// As many as were asked for.
    pub ids: Vec<i64>,
    /// How many of them attention reads: all of CLIP's, those up to the end of the text of T5's.
    pub attended: usize,
}

/// A tokenizer of a folder.
#[derive(Debug)]
pub struct Tokenizer {
    path: PathBuf,
    family: Family,
    tokenizer: tokenizers::Tokenizer,
    pad: u32,
    /// Start and end, where the tokenizer does not put them there itself.
    frame: Option<(u32, u32)>,
}

impl Tokenizer {
    /// Reads a tokenizer's folder: `tokenizer.json`, else CLIP's `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// [`TokenizerError`] says which file is missing or wrong, and how to make the one that is needed.
    pub fn open(folder: &Path, family: Family) -> Result<Self, TokenizerError> {
        let fail = |why: String| TokenizerError { path: folder.to_owned(), why };
        let config = config(folder).map_err(|error| fail(error.to_string()))?;
        let whole = folder.join("tokenizer.json");
        let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let (tokenizer, framed) = if whole.is_file() {
            let tokenizer = tokenizers::Tokenizer::from_file(&whole);
            (tokenizer.map_err(|error| fail(format!("tokenizer.json cannot be read: {error}")))?, true)
        } else if family == Family::Clip && vocabulary.is_file() && merges.is_file() {
            (clip(&vocabulary, &merges).map_err(|error| fail(format!("vocab.json and merges.txt: {error}")))?, false)
        } else if folder.join("spiece.model").is_file() {
            return Err(fail(format!(
                "it has spiece.model alone. Write tokenizer.json once: python3 -c \"from transformers import AutoTokenizer \
                 as T; T.from_pretrained('{0}').save_pretrained('{0}')\"",
                folder.display()
            )));
        } else {
            return Err(fail(
                "it has neither tokenizer.json nor vocab.json and merges.txt: export the pipeline again, \
                with its tokenizers"
                    .to_owned(),
            ));
        };
        let word = |field: &str, usual: &str| {
            // As a text, or as an object that holds it.
            let said = config.get(field).and_then(|value| value.as_str().or_else(|| value.get("content")?.as_str()));
            let word = said.unwrap_or(usual);
            let id = tokenizer.token_to_id(word);
            id.ok_or_else(|| fail(format!("its {field}, {word}, is not in its vocabulary")))
        };
        let (start, end) = ("<|startoftext|>", "<|endoftext|>");
        let pad = word("pad_token", if family == Family::Clip { end } else { "<pad>" })?;
        let frame = match framed {
            true => None,
            false => Some((word("bos_token", start)?, word("eos_token", end)?)),
        };
        Ok(Self { path: folder.to_owned(), family, tokenizer, pad, frame })
    }

    /// Token ids of a text, cut or padded to `length`.
    ///
    /// # Errors
    /// The library's own failure, or a length that cannot be.
    pub fn encode(&self, text: &str, length: usize) -> Result<Tokens, TokenizerError> {
        let fail = |why: String| TokenizerError { path: self.path.clone(), why };
        if !(2..=MOST).contains(&length) {
            return Err(fail(format!("a text of {length} tokens is not possible; use 2 to {MOST}")));
        }
        let library = |error: tokenizers::Error| fail(error.to_string());
        let mut ids: Vec<u32> = match self.frame {
            Some((start, end)) => {
                let encoding = self.tokenizer.encode(text, false).map_err(library)?;
                let words = encoding.get_ids().iter().take(length - 2);
                [&start].into_iter().chain(words).chain([&end]).copied().collect()
            }
            None => {
                let mut cutting = self.tokenizer.clone();
                let cut = TruncationParams { max_length: length, ..TruncationParams::default() };
                cutting.with_padding(None).with_truncation(Some(cut)).map_err(library)?;
                cutting.encode(text, true).map_err(library)?.get_ids().to_vec()
            }
        };
        ids.truncate(length);
        let attended = if self.family == Family::T5 { ids.len() } else { length };
        ids.resize(length, self.pad);
        Ok(Tokens { ids: ids.into_iter().map(i64::from).collect(), attended })
    }
}

/// The fields of `tokenizer_config.json`; none if there is no such file. Over them, as in transformers, those of
/// `special_tokens_map.json` in folders of the older layout, which has no `added_tokens_decoder`: Stable Diffusion 2 pads
/// with another word there.
pub(super) fn config(folder: &Path) -> Result<Map<String, Value>, JsonError> {
    let read = |name: &str| {
        let path = folder.join(name);
        if path.is_file() { json::object(&path) } else { Ok(Map::new()) }
    };
    let mut config = read("tokenizer_config.json")?;
    if !config.contains_key("added_tokens_decoder") {
        config.extend(read("special_tokens_map.json")?);
    }
    Ok(config)
}

/// The longest text in tokens. "No limit" is written as a 1 with thirty zeros.
pub(super) fn longest(config: &Map<String, Value>) -> Option<usize> {
    let length = config.get("model_max_length")?.as_f64()?;
    (2.0..=MOST as f64).contains(&length).then_some(length as usize)
}

/// CLIP's tokenizer from its files.
fn clip(vocabulary: &Path, merges: &Path) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::from_file(&vocabulary.to_string_lossy(), &merges.to_string_lossy())
        .end_of_word_suffix("</w>".to_owned())
        .build()?;
    clip_of(model)
}

/// CLIP's tokenizer: lower case, words and signs apart, over its byte-level BPE: the one place that has them, for models of our own too.
///
/// # Errors
/// The library's own failure.
pub fn clip_of(model: BPE) -> tokenizers::Result<tokenizers::Tokenizer> {
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let space = tokenizers::normalizers::Replace::new(
        tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned()),
        " ",
    )?;
    tokenizer.with_normalizer(Some(tokenizers::normalizers::Sequence::new(vec![
        tokenizers::normalizers::unicode::NFC.into(),
        space.into(),
        tokenizers::normalizers::utils::Lowercase.into(),
    ])))?;
    let words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let split = Split::new(SplitPattern::Regex(words.to_owned()), SplitDelimiterBehavior::Removed, true)?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()])));
    Ok(tokenizer)
}
