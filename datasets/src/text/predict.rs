//! Texts to classify: read once, some at a time.

use super::config::{TextConfig, TextTask};
use super::encode::encode;
use super::open::as_trained;
use super::read::files;
use super::reader::{Reader, Text};
use super::schema::TextSchema;
use super::set::TextSet;
use crate::inputs::Put;
use crate::records::{Format, shortened};
use crate::{DataError, InputPiece, InputPieces, Names, Pipeline, names_files, source};

/// Texts of a piece.
const PIECE: usize = 4096;

/// Reads texts to classify. Each input is a file of texts (`.txt`, `.csv`, `.jsonl`, `.parquet`), a folder of
/// them or, where it [names no files](names_files), itself the text. The names are each text's place,
/// `sms.csv:17`, or the beginning of the argument. About 1 MiB of a file is held at a time, a row group of
/// Parquet, a whole file of which each is a text.
///
/// # Errors
/// When there is no input, a key is out of its bounds, or the model generates text instead. A file that
/// cannot be read is an error in the place of its pieces.
pub fn open_prediction(
    config: &TextConfig,
    schema: &TextSchema,
    inputs: &[String],
) -> Result<InputPieces<TextSet>, DataError> {
    if schema.task == TextTask::LanguageModel {
        let expected = "a model that classifies texts";
        return Err(DataError::source("predict", expected, "a language model, which continues a prompt"));
    }
    config.check_sizes()?;
    if inputs.is_empty() {
        return Err(DataError::source("predict", "at least one text", "no input"));
    }
    let (config, schema, inputs) = (as_trained(config, schema), schema.clone(), inputs.to_vec());
    Ok(InputPieces::of(move |put| {
        let mut texts = Collector {
            config: &config,
            schema: &schema,
            put,
            tokens: Vec::new(),
            names: Vec::new(),
            skipped: 0,
        };
        inputs.iter().try_for_each(|input| texts.read(input))?;
        texts.put()
    }))
}

/// Encoded texts, on their way into pieces.
struct Collector<'a> {
    config: &'a TextConfig,
    schema: &'a TextSchema,
    put: Put<'a, TextSet>,
    tokens: Vec<Vec<u32>>,
    names: Vec<String>,
    skipped: u64,
}

impl Collector<'_> {
    fn read(&mut self, input: &str) -> Result<(), DataError> {
        let schema = self.schema;
        if !names_files(input) {
            let tokens = schema.encode_first(input, schema.max_tokens, "text", 1)?;
            return self.push(tokens, shortened(input));
        }
        // The recipe's format is the training file's; texts to predict may come in another.
        let tells_format = Format::named(input).is_some_and(Format::has_blocks);
        let format = if tells_format { None } else { self.config.format };
        let config = TextConfig { format, ..self.config.clone() };
        let folder = source::is_folder(input);
        let mut any = false;
        for file in files(input, &config)? {
            let format = config.format(&file)?;
            let reader = Reader { uri: &file, config: &config, format, labelled: false };
            let mut take = |text: Result<Text, DataError>| match text {
                Ok(text) => {
                    any = true;
                    self.push(encode(&text, schema)?, text.place())
                }
                Err(error) => config.on_corrupt.refuse(error, &mut self.skipped),
            };
            if format.is_plain() && (folder || schema.whole_files) {
                reader.whole(None, &mut take)?;
            } else {
                reader.pieces(&mut take)?;
            }
        }
        if any { Ok(()) } else { Err(DataError::source(input, "at least one text", "none")) }
    }

    fn push(&mut self, tokens: Vec<u32>, name: String) -> Result<(), DataError> {
        self.tokens.push(tokens);
        self.names.push(name);
        if self.names.len() == PIECE { self.put() } else { Ok(()) }
    }

    /// Hands on the texts collected so far.
    fn put(&mut self) -> Result<(), DataError> {
        if self.names.is_empty() && self.skipped == 0 {
            return Ok(());
        }
        let (tokens, skipped) = (std::mem::take(&mut self.tokens), std::mem::take(&mut self.skipped));
        let set = TextSet::texts(self.schema.len(), &tokens, Vec::new(), skipped);
        let names = Names::Each(std::mem::take(&mut self.names));
        (self.put)(InputPiece { samples: Pipeline::new(set, self.config.in_order(0)), names })
    }
}
