//! Texts to classify: read once, some at a time.

use super::config::{TextConfig, TextTask};
use super::encode::encode;
use super::open::as_trained;
use super::read::files;
use super::reader::{Reader, Text};
use super::schema::TextSchema;
use super::set::TextSet;
use crate::inputs::Put;
use crate::keep::no_columns;
use crate::records::{Format, shortened};
use crate::{DataError, InputPiece, InputPieces, Kept, Names, Pipeline, Refused, names_files, source};

/// Texts of a piece.
const PIECE: usize = 4096;

/// Reads texts to classify. Each input is a file of texts (`.txt`, `.csv`, `.jsonl`, `.parquet`), a folder of
/// them or, where it [names no files](names_files), itself the text. The names are each text's place,
/// `sms.csv:17`, or the beginning of the argument. About 1 MiB of a file is held at a time, a row group of
/// Parquet, a whole file of which each is a text. A text that cannot be read stops, or is among those that
/// are refused: as `on_corrupt` says.
///
/// # Errors
/// When there is no input, a key is out of its bounds, or the model generates text instead. A file that
/// cannot be read is an error in the place of its pieces.
pub fn open_prediction(
    config: &TextConfig,
    schema: &TextSchema,
    inputs: &[String],
) -> Result<InputPieces<TextSet>, DataError> {
    open_prediction_keeping(config, schema, inputs, &[])
}

/// As [`open_prediction`]; the columns `keep` of the texts' files are carried along.
///
/// # Errors
/// As [`open_prediction`]. A file that lacks a column to be kept, and an input that has no columns, are errors
/// in the place of its pieces.
pub fn open_prediction_keeping(
    config: &TextConfig,
    schema: &TextSchema,
    inputs: &[String],
    keep: &[String],
) -> Result<InputPieces<TextSet>, DataError> {
    if schema.task == TextTask::LanguageModel {
        let expected = "a model that classifies texts";
        return Err(DataError::source("predict", expected, "a language model, which continues a prompt"));
    }
    config.check_sizes()?;
    if inputs.is_empty() {
        return Err(DataError::source("predict", "at least one text", "no input"));
    }
    let (config, schema) = (as_trained(config, schema), schema.clone());
    let (inputs, keep) = (inputs.to_vec(), keep.to_vec());
    Ok(InputPieces::of(move |put| {
        let mut texts = Collector {
            config: &config,
            schema: &schema,
            keep: &keep,
            put,
            tokens: Vec::new(),
            names: Vec::new(),
            kept: Vec::new(),
            refused: Vec::new(),
        };
        inputs.iter().try_for_each(|input| texts.read(input))?;
        texts.put()
    }))
}

/// Encoded texts, on their way into pieces.
struct Collector<'a> {
    config: &'a TextConfig,
    schema: &'a TextSchema,
    /// The names of the columns that are carried along.
    keep: &'a [String],
    put: Put<'a, TextSet>,
    tokens: Vec<Vec<u32>>,
    names: Vec<String>,
    kept: Vec<Kept>,
    refused: Vec<Refused>,
}

impl Collector<'_> {
    fn read(&mut self, input: &str) -> Result<(), DataError> {
        let (schema, keep) = (self.schema, self.keep);
        if !names_files(input) {
            no_columns(&shortened(input), keep)?;
            let tokens = schema.encode_first(input, schema.max_tokens, "text", 1)?;
            return self.push(tokens, shortened(input), Kept::new());
        }
        // The recipe's format is the training file's; texts to predict may come in another.
        let tells_format = Format::named(input).is_some_and(Format::has_blocks);
        let format = if tells_format { None } else { self.config.format };
        let config = TextConfig { format, ..self.config.clone() };
        let folder = source::is_folder(input);
        let mut any = false;
        for file in files(input, &config)? {
            let format = config.format(&file)?;
            if format.is_plain() {
                no_columns(&file, keep)?;
            }
            let reader = Reader { uri: &file, config: &config, format, labelled: false };
            let mut take = |text: Result<Text, DataError>, kept: Kept| match text {
                Ok(text) => {
                    any = true;
                    self.push(encode(&text, schema)?, text.place(), kept)
                }
                Err(error) if !config.on_corrupt.skips(&error) => Err(error),
                Err(error) => self.refuse(error, kept),
            };
            if format.is_plain() && (folder || schema.whole_files) {
                reader.whole(None, &mut |text| take(text, Kept::new()))?;
            } else {
                reader.pieces_keeping(keep, &mut take)?;
            }
        }
        if any { Ok(()) } else { Err(DataError::source(input, "at least one text", "none")) }
    }

    fn push(&mut self, tokens: Vec<u32>, name: String, kept: Kept) -> Result<(), DataError> {
        self.tokens.push(tokens);
        self.names.push(name);
        if !self.keep.is_empty() {
            self.kept.push(kept);
        }
        self.put_if_full()
    }

    fn refuse(&mut self, error: DataError, kept: Kept) -> Result<(), DataError> {
        self.refused.push(Refused { kept, ..Refused::record(self.names.len() as u64, error) });
        self.put_if_full()
    }

    fn put_if_full(&mut self) -> Result<(), DataError> {
        if self.names.len() + self.refused.len() >= PIECE { self.put() } else { Ok(()) }
    }

    /// Hands on the texts collected so far.
    fn put(&mut self) -> Result<(), DataError> {
        if self.names.is_empty() && self.refused.is_empty() {
            return Ok(());
        }
        let (tokens, refused) = (std::mem::take(&mut self.tokens), std::mem::take(&mut self.refused));
        let set = TextSet::texts(self.schema.len(), &tokens, Vec::new(), 0);
        let (names, kept) = (std::mem::take(&mut self.names), std::mem::take(&mut self.kept));
        let (samples, names) = (Pipeline::new(set, self.config.in_order(0)), Names::Each(names));
        (self.put)(InputPiece { samples, names, kept, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::open;
    use crate::{KeptCell, OnCorrupt};

    #[test]
    fn a_text_that_cannot_be_read_has_its_error_in_its_place_and_columns_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name).to_str().unwrap().to_string()
        };
        let config = TextConfig {
            train: write("t.csv", b"text,label\nsea sun,a\nwin call,b\nsea win,a\n"),
            workers: 0,
            on_corrupt: OnCorrupt::Skip,
            ..TextConfig::default()
        };
        let schema = open(&config, 0).unwrap().schema;
        let csv = write("new.csv", b"id,text\n01,sea\n02,\xff\n03,win\n04,\xff\n");
        let jsonl = write("new.jsonl", b"{\"id\": 1}\n{\"id\": 2, \"text\": \"sea\"}\n");
        let ask = |config: &TextConfig, inputs: &[String], keep: &[&str]| {
            let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
            let pieces = open_prediction_keeping(config, &schema, inputs, &keep).unwrap();
            pieces.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())
        };
        let pieces = ask(&config, &[csv.clone(), jsonl.clone()], &["id"]).unwrap();
        let [piece] = &pieces[..] else { panic!("{} pieces", pieces.len()) };
        assert_eq!(
            piece.names,
            Names::Each(vec![format!("{csv}:2"), format!("{csv}:4"), format!("{jsonl}:2")])
        );
        let (text, number) =
            (|text: &str| KeptCell::Text(text.into()), |text: &str| KeptCell::Number(text.into()));
        assert_eq!(piece.kept, [[text("01")], [text("03")], [number("2")]]);
        let refused: Vec<_> =
            piece.refused.iter().map(|refused| (refused.before, refused.name.clone())).collect();
        assert_eq!(refused, [(1, format!("{csv}:3")), (2, format!("{csv}:5")), (2, format!("{jsonl}:1"))]);
        assert_eq!(piece.refused[2].kept, [number("1")]);

        let stop = TextConfig { on_corrupt: OnCorrupt::Stop, ..config.clone() };
        assert!(
            ask(&stop, std::slice::from_ref(&csv), &[]).err().unwrap().contains("line 3: expected UTF-8")
        );
        let error = ask(&config, &[csv], &["ident"]).err().unwrap();
        assert!(error.contains("a column `ident`, which is to be kept"), "{error}");
        let lines = write("new.txt", b"sea\nsun\n");
        for input in [lines, "sea and sun".to_string()] {
            let error = ask(&config, &[input], &["id"]).err().unwrap();
            assert!(error.contains("found an input without columns"), "{error}");
        }
    }
}
