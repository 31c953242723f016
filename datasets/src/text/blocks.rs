//! Blocks of texts: found in their files, read, and those with labels encoded by a schema.

use super::config::{TextConfig, TextTask};
use super::encode::{TextTarget, encode, target};
use super::read as held;
use super::reader::{Reader, Take};
use super::schema::TextSchema;
use super::stream::Stream;
use crate::DataError;
use crate::fields::TargetEncoder;
use crate::index::Block;
use crate::records::{Layout, files, utf8, without_mark};
use crate::store::{Decode, Source};

/// The blocks of the files at a URI.
///
/// # Errors
/// When they cannot be read, or are lines of which each would want a label.
pub(super) fn source(uri: &str, config: &TextConfig) -> Result<Source, DataError> {
    // The files of a set are of one kind, that of the first.
    let shards = files(uri)?;
    let first = shards.first().map_or(uri, String::as_str);
    if config.task == TextTask::LanguageModel {
        check_kinds(uri, &shards, config)?;
    }
    let format = config.format(first)?;
    if format.is_plain() && config.task != TextTask::LanguageModel {
        let expected = "false, or texts in CSV, JSONL or Parquet, which can be streamed";
        return Err(DataError::config("stream", expected, format!("true for {first}")));
    }
    let layout = Layout::new(format, config.dialect(first, format)?);
    let layout = layout.of_sheet(config.sheet.as_deref());
    Source::open(uri, &layout.decoded(config.decoding()?))
}

/// Refuses files that a text in memory is not made of, and files of several kinds: they would be read by the
/// wrong format.
fn check_kinds(uri: &str, shards: &[String], config: &TextConfig) -> Result<(), DataError> {
    let texts = held::files(uri, config)?;
    let kinds = shards.iter().map(|file| config.format(file)).collect::<Result<Vec<_>, _>>()?;
    let mut shards = shards.iter().zip(&kinds);
    let strange = shards.find(|&(shard, kind)| !texts.contains(shard) || kind != &kinds[0]);
    let strange = strange.map(|(shard, _)| shard);
    match strange {
        Some(strange) => {
            let expected = "texts of one kind (of a folder that holds others, a pattern such as *.txt)";
            Err(DataError::source(uri, expected, format!("{strange} among them")))
        }
        None => Ok(()),
    }
}

/// Hands the texts of a block that are to be joined to a long one to `take`, each with the line it begins on:
/// plain text as it is, records with a line break behind each.
///
/// # Errors
/// `take`'s own, and the first of a text that cannot be read and is not to be skipped.
pub(super) fn long_texts(
    source: &Source,
    shard: usize,
    block: &Block,
    config: &TextConfig,
    take: &mut dyn FnMut(&str, u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    if source.index().format().is_plain() {
        let bytes = source.fetch(shard, block)?;
        let bytes = if block.bytes.start == 0 { without_mark(&bytes) } else { &bytes };
        return take(utf8(source.shard_uri(shard), bytes, block.line, config.decoding()?)?, block.line);
    }
    read(source, shard, block, config, &mut |text| match text {
        Ok(mut text) => {
            text.text.push('\n');
            take(&text.text, text.line.unwrap_or(block.line))
        }
        Err(error) => config.on_corrupt.refuse(error, &mut 0),
    })
}

/// Hands each text of a block of records to `take`, or why it cannot be read.
///
/// # Errors
/// `take`'s own, and when the block as a whole cannot be read.
pub(super) fn read(
    source: &Source,
    shard: usize,
    block: &Block,
    config: &TextConfig,
    take: Take<'_>,
) -> Result<(), DataError> {
    let (uri, format) = (source.shard_uri(shard), source.index().format());
    let reader = Reader { uri, config, format, labelled: config.task == TextTask::Classify };
    reader.block(source, shard, block, take)
}

/// Encodes the texts of a block by a schema.
#[derive(Debug)]
pub(super) struct TextDecoder {
    config: TextConfig,
    schema: TextSchema,
    targets: TargetEncoder,
}

/// The encoded texts of a block.
#[derive(Debug)]
pub(super) struct TextBlock {
    stream: Stream,
    /// The end of each text in the stream, and its target or the error of reading it.
    texts: Vec<(usize, Result<TextTarget, DataError>)>,
}

impl TextBlock {
    /// The tokens and the target of text `number`.
    ///
    /// # Errors
    /// The text's own, when it cannot be read.
    pub(super) fn text(&self, number: usize) -> Result<(Vec<u32>, TextTarget), DataError> {
        let (end, target) = &self.texts[number];
        let start = number.checked_sub(1).map_or(0, |before| self.texts[before].0);
        Ok((self.stream.get(start..*end), target.clone()?))
    }
}

impl TextDecoder {
    pub(super) fn new(config: &TextConfig, schema: &TextSchema) -> Self {
        let targets = schema.target().encoder(None);
        TextDecoder { config: config.clone(), schema: schema.clone(), targets }
    }
}

impl Decode for TextDecoder {
    type Records = TextBlock;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<TextBlock, DataError> {
        let TextDecoder { config, schema, targets } = self;
        let mut decoded = TextBlock { stream: Stream::new(schema.len()), texts: Vec::new() };
        read(source, shard, block, config, &mut |text| {
            let encoded = text.and_then(|text| {
                let target = target(&text, targets)?;
                Ok((encode(&text, schema)?, target))
            });
            let target = encoded.map(|(tokens, target)| {
                decoded.stream.extend(&tokens);
                target
            });
            decoded.texts.push((decoded.stream.len(), target));
            Ok(())
        })?;
        if decoded.texts.len() as u64 == block.records {
            Ok(decoded)
        } else {
            let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
            let (expected, found) = (format!("{} records", block.records), decoded.texts.len());
            Err(DataError::malformed(source.shard_uri(shard), place, expected, found))
        }
    }
}
