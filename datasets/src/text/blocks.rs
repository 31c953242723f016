//! Blocks of labelled texts: found in their files, read, and encoded by a schema.

use super::config::{TextConfig, TextFormat};
use super::encode::{class, encode};
use super::parquet;
use super::reader::{Reader, Take};
use super::schema::TextSchema;
use super::stream::Stream;
use crate::DataError;
use crate::blocks::{Decode, Source};
use crate::index::{self, Block};
use crate::shard::Format;
use crate::table::csv::Csv;
use std::collections::HashMap;

/// The blocks of the files at a URI.
///
/// # Errors
/// When they cannot be read, or are of lines, which have no blocks.
pub(super) fn source(uri: &str, config: &TextConfig) -> Result<Source, DataError> {
    // The files of a set are of one kind, that of the first.
    let shards = index::shards(uri)?;
    let first = shards.first().map_or(uri, String::as_str);
    let format = match config.format.unwrap_or_else(|| TextFormat::of(first)) {
        TextFormat::Parquet => Format::Parquet,
        TextFormat::Jsonl => Format::Jsonl,
        TextFormat::Csv => {
            let dialect = config.dialect(first)?;
            Format::Csv { separator: dialect.separator, comment: dialect.comment, header: dialect.has_header }
        }
        TextFormat::Txt => {
            let expected = "false, or texts in CSV, JSONL or Parquet, which can be streamed";
            return Err(DataError::config("stream", expected, format!("true for {first}")));
        }
    };
    Source::open(uri, &format)
}

/// Hands each text of a block to `take`, or why it cannot be read.
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
    let reader = Reader { uri: source.shard_uri(shard), config, labelled: true };
    match source.index().format() {
        Format::Parquet => parquet::read_group(source, shard, block, &reader, take),
        Format::Jsonl => reader.jsonl(&source.fetch(shard, block)?, block.line, take),
        Format::Csv { .. } | Format::Tar => {
            let dialect = config.dialect(reader.uri)?;
            let names =
                source.names(shard, |head| Ok(Csv::open(reader.uri, head, &dialect)?.names().to_vec()))?;
            let bytes = source.fetch(shard, block)?;
            let mut csv = Csv::block(reader.uri, &bytes, &dialect, names.to_vec(), block.line);
            reader.csv(&mut csv, take)
        }
    }
}

/// Encodes the texts of a block by a schema.
#[derive(Debug)]
pub(super) struct TextDecoder {
    config: TextConfig,
    schema: TextSchema,
    classes: HashMap<String, u32>,
}

/// The encoded texts of a block.
#[derive(Debug)]
pub(super) struct TextBlock {
    stream: Stream,
    /// Where each text ends in the stream, and its class, or why it cannot be read.
    texts: Vec<(usize, Result<u32, DataError>)>,
}

impl TextBlock {
    /// The tokens and the class of text `number`.
    ///
    /// # Errors
    /// The text's own, when it cannot be read.
    pub(super) fn text(&self, number: usize) -> Result<(Vec<u32>, u32), DataError> {
        let (end, class) = &self.texts[number];
        let start = number.checked_sub(1).map_or(0, |before| self.texts[before].0);
        Ok((self.stream.get(start..*end), class.clone()?))
    }
}

impl TextDecoder {
    pub(super) fn new(config: &TextConfig, schema: &TextSchema) -> Self {
        let classes = schema.labels.iter().cloned().zip(0..).collect();
        TextDecoder { config: config.clone(), schema: schema.clone(), classes }
    }
}

impl Decode for TextDecoder {
    type Records = TextBlock;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<TextBlock, DataError> {
        let TextDecoder { config, schema, classes } = self;
        let mut decoded = TextBlock { stream: Stream::new(schema.len()), texts: Vec::new() };
        read(source, shard, block, config, &mut |text| {
            let encoded = text.and_then(|text| {
                let class = class(&text, schema, |label| classes.get(label).copied())?;
                Ok((encode(&text, schema)?, class))
            });
            let class = encoded.map(|(tokens, class)| {
                decoded.stream.extend(&tokens);
                class
            });
            decoded.texts.push((decoded.stream.len(), class));
            Ok(())
        })?;
        match decoded.texts.len() as u64 == block.records {
            true => Ok(decoded),
            false => {
                let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
                let (expected, found) = (format!("{} records", block.records), decoded.texts.len());
                Err(DataError::malformed(source.shard_uri(shard), place, expected, found))
            }
        }
    }
}
