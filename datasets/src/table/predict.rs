//! Rows to predict: read once, some at a time.

use super::config::TableConfig;
use super::encode::Encoder;
use super::packing::Packing;
use super::schema::{TableSchema, column_indices};
use super::set::TableSet;
use super::unseen::Unseen;
use crate::inputs::Put;
use crate::keep::kept;
use crate::records::{Format, Found, Frame, Use, files};
use crate::{DataError, InputPiece, InputPieces, Kept, Names, Pipeline, Refused};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Reads rows to predict from files of any of the formats, with or without the target column: about 1 MiB of
/// them at a time, or 8,192 rows of Parquet, of which a row group's columns are held. Categories that
/// training never saw go to the unknown slot. Each row is named `rows.csv:3`, by its line (or its row, in
/// Parquet files). A row that cannot be read or encoded stops, or is among those that are refused: as
/// `on_corrupt` says.
///
/// # Errors
/// When there is no input, or a key is out of its bounds. A file that cannot be read, or lacks an input
/// column, is an error in the place of its pieces. An object of JSON may lack keys, but none that no object of
/// the first ones has.
pub fn open_prediction(
    config: &TableConfig,
    schema: &TableSchema,
    inputs: &[String],
) -> Result<InputPieces<TableSet>, DataError> {
    open_prediction_keeping(config, schema, inputs, &[])
}

/// As [`open_prediction`]; the columns `keep` are carried along, whether the model reads them or not.
///
/// # Errors
/// As [`open_prediction`]. A file that lacks a column to be kept is an error in the place of its pieces.
pub fn open_prediction_keeping(
    config: &TableConfig,
    schema: &TableSchema,
    inputs: &[String],
    keep: &[String],
) -> Result<InputPieces<TableSet>, DataError> {
    config.check_sizes()?;
    if inputs.is_empty() {
        return Err(DataError::source("predict", "at least one file of rows", "no input"));
    }
    let (config, schema) = (config.as_trained(schema), schema.clone());
    let (inputs, keep) = (inputs.to_vec(), keep.to_vec());
    let (encoder, packing) = (Encoder::new(&schema, &config, false), Packing::new(&config, Some(&schema)));
    Ok(InputPieces::of(move |put| {
        let unseen = Unseen::default();
        let read = inputs.iter().try_for_each(|uri| {
            // The recipe's format is the training file's; rows to predict may come in another.
            let format = if tells_format(uri) { None } else { config.format };
            let config = TableConfig { format, ..config.clone() };
            let names = schema.columns.iter().map(|column| column.name.clone()).collect();
            let (config, schema, encoder) = (&config, &schema, &encoder);
            let (packing, unseen, keep) = (&packing, &unseen, &keep);
            let put = &mut *put;
            let pieces = RowPieces { config, schema, encoder, packing, unseen, names, keep, put, any: false };
            pieces.read(uri)
        });
        if let Some(summary) = unseen.summary() {
            log::warn!("{summary}");
        }
        read
    }))
}

/// True where the extension alone says what a file holds.
fn tells_format(uri: &str) -> bool {
    Format::named(uri).is_some_and(Format::has_columns)
}

/// The rows of one input, on their way into pieces.
struct RowPieces<'a> {
    config: &'a TableConfig,
    schema: &'a TableSchema,
    encoder: &'a Encoder,
    packing: &'a Packing,
    unseen: &'a Unseen,
    /// The names of the input columns.
    names: HashSet<String>,
    /// The names of the columns that are carried along.
    keep: &'a [String],
    put: Put<'a, TableSet>,
    /// True where there was a row that can be read.
    any: bool,
}

impl RowPieces<'_> {
    fn read(mut self, uri: &str) -> Result<(), DataError> {
        for file in files(uri)? {
            self.file(&file)?;
        }
        match self.any {
            true => Ok(()),
            false => Err(DataError::source(uri, "at least one row that can be read", "none")),
        }
    }

    fn file(&mut self, uri: &str) -> Result<(), DataError> {
        let RowPieces { config, schema, packing, keep, .. } = *self;
        let (format, names) = (config.format(uri)?, self.names.clone());
        let column = |name: &str| match keep.iter().any(|kept| kept == name) && !names.contains(name) {
            true => Use::Label,
            false => config.column_of(&names, name),
        };
        let options = config.options(uri, format, packing, &column, Some(schema.target.name()))?;
        let (mut first, mut unreadable) = (true, Vec::new());
        format.reader(uri)?.pieces(uri, &options, &mut |found| match found {
            Found::Unreadable(_, error) if !config.on_corrupt.skips(&error) => Err(error),
            Found::Unreadable(number, error) => {
                unreadable.push((number, error));
                Ok(())
            }
            Found::Frame(mut frame) => {
                let first = std::mem::take(&mut first);
                let kept = kept(&frame, keep, format != Format::Csv, first)?;
                if frame.varies {
                    complete(&mut frame, schema, first)?;
                }
                self.piece(frame, kept, std::mem::take(&mut unreadable))
            }
        })
    }

    /// Encodes rows and puts them, and beside them those that cannot be: the records that are `unreadable`, by
    /// their numbers among all of these, and rows that the schema does not fit.
    fn piece(
        &mut self,
        mut frame: Frame,
        mut kept: Vec<Kept>,
        unreadable: Vec<(usize, DataError)>,
    ) -> Result<(), DataError> {
        let RowPieces { config, encoder, packing, unseen, .. } = *self;
        packing.pack(&mut frame);
        let all: Vec<usize> = (0..frame.len()).collect();
        let mut corrupt = Vec::new();
        let rows = encoder.readable(&frame, &all, |row, error| match config.on_corrupt.skips(&error) {
            true => {
                corrupt.push((row, error));
                ControlFlow::Continue(())
            }
            false => ControlFlow::Break(error),
        })?;
        if rows.is_empty() && corrupt.is_empty() && unreadable.is_empty() {
            return Ok(());
        }
        self.any |= !rows.is_empty();
        encoder.count_unseen(&frame, &rows, unseen)?;
        let mut refused: Vec<Refused> = unreadable
            .into_iter()
            .enumerate()
            .map(|(before, (number, error))| {
                // Of the records before it, those that were read are rows of the frame.
                let row = number.saturating_sub(before);
                Refused::record(rows.partition_point(|&kept| kept < row) as u64, error)
            })
            .collect();
        let name = |row: usize| format!("{}:{}", frame.file(row), frame.lines[row]);
        for (row, error) in corrupt {
            let before = rows.partition_point(|&kept| kept < row) as u64;
            let kept = kept.get_mut(row).map(std::mem::take).unwrap_or_default();
            refused.push(Refused { before, name: name(row), kept, error });
        }
        refused.sort_by_key(|refused| (refused.before, line(&refused.name)));
        let names = Names::Each(rows.iter().map(|&row| name(row)).collect());
        let kept = if kept.is_empty() {
            kept
        } else {
            rows.iter().map(|&row| std::mem::take(&mut kept[row])).collect()
        };
        let set = TableSet::held(encoder.encode(&frame, &rows)?, 0);
        (self.put)(InputPiece { samples: Pipeline::new(set, config.in_order(0)), names, kept, refused })
    }
}

/// The number behind a file's name.
fn line(name: &str) -> u64 {
    name.rsplit(':').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Adds the input columns that none of the records names; those of a file's `first` records name each.
///
/// # Errors
/// When one of these is missing: a key that none of so many objects has is misspelt rather than missing.
fn complete(frame: &mut Frame, schema: &TableSchema, first: bool) -> Result<(), DataError> {
    let columns = || schema.columns.iter().map(|column| column.name.as_str());
    // What an object lacks may be misspelt; a feature that is 0 everywhere may just not be there.
    if first && frame.len() > 0 && !frame.sparse {
        column_indices(frame, columns())?;
    }
    frame.complete(columns());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::open;
    use crate::{Dataset, Draw, KeptCell, OnCorrupt};
    use bonfire_contract::{Loader, Target};
    use burn::tensor::Device;
    use std::fs;

    const SMALL: &str = "n,c,y\n1,red,a\n,blue,b\n3,?,a\n2,red,b\n";

    /// A folder with files, a recipe for the first, and the columns that it has.
    struct Trained {
        folder: tempfile::TempDir,
        config: TableConfig,
        schema: TableSchema,
    }

    /// The contents of all pieces.
    #[derive(Debug, Default)]
    struct All {
        numeric: Vec<f32>,
        categories: Vec<i64>,
        names: Vec<String>,
        refused: Vec<(u64, String)>,
        kept: Vec<Kept>,
        pieces: usize,
    }

    impl Trained {
        fn new(config: TableConfig, files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            let train = folder.path().join(files[0].0).to_str().unwrap().to_string();
            let config = TableConfig { train, target: "y".into(), one_hot: false, workers: 0, ..config };
            let schema = open(&config, 0).unwrap().schema;
            Trained { folder, config, schema }
        }

        fn uri(&self, name: &str) -> String {
            self.folder.path().join(name).to_str().unwrap().to_string()
        }

        fn predict(&self, names: &[&str], config: &TableConfig) -> Result<All, String> {
            self.predict_keeping(names, config, &[])
        }

        fn predict_keeping(
            &self,
            names: &[&str],
            config: &TableConfig,
            keep: &[&str],
        ) -> Result<All, String> {
            let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
            let uris: Vec<String> = names.iter().map(|name| self.uri(name)).collect();
            let mut all = All::default();
            for piece in open_prediction_keeping(config, &self.schema, &uris, &keep)
                .map_err(|error| error.to_string())?
            {
                let InputPiece { samples, names, kept, refused } =
                    piece.map_err(|error| error.to_string())?;
                let set = samples.dataset();
                let rows = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
                let (table, target) = set.collate(rows, &Device::flex());
                assert!(matches!(target, Target::Absent));
                all.numeric.extend(table.numeric.into_data().iter::<f32>());
                all.categories.extend(table.categories.into_data().iter::<i64>());
                let name = |sample| names.of(sample).rsplit('/').next().unwrap().to_string();
                all.names.extend((0..set.len()).map(name));
                assert_eq!(samples.skipped().count(), 0);
                let last = |name: &str| name.rsplit('/').next().unwrap().to_string();
                all.refused.extend(refused.iter().map(|refused| (refused.before, last(&refused.name))));
                all.kept.extend(kept);
                all.pieces += 1;
            }
            Ok(all)
        }
    }

    #[test]
    fn rows_need_no_target_and_are_named() {
        let trained = Trained::new(
            TableConfig::default(),
            &[
                ("t.csv", SMALL),
                ("new.csv", "c,extra,n\ngreen,1,3\n\nblue,2,\n"),
                ("new.jsonl", "{\"n\": 1, \"c\": \"red\", \"y\": \"never seen\"}\n"),
                ("typo.jsonl", "{\"n\": 1, \"colour\": \"red\"}\n"),
                ("less.csv", "n\n1\n"),
                ("none.csv", "n,c\n"),
                ("bad.csv", "n,c\n1,red\nx,red\n"),
                ("ragged.csv", "n,c\n1\ny,red\n2,blue\n"),
            ],
        );
        let config = &trained.config;
        let all = trained.predict(&["new.csv", "new.jsonl"], config).unwrap();
        assert_eq!((all.categories, &all.numeric[2..4]), (vec![0, 1, 2], &[0.0, 1.0][..]));
        assert_eq!(all.names, ["new.csv:2", "new.csv:4", "new.jsonl:1"]);
        let refused = |names: &[&str], config: &TableConfig| trained.predict(names, config).unwrap_err();
        assert!(refused(&["less.csv"], config).contains("a column `c`"));
        assert!(refused(&["typo.jsonl"], config).contains("a column `c`"));
        assert!(refused(&["none.csv"], config).contains("at least one row that can be read"));
        assert!(refused(&[], config).contains("no input"));
        let error = refused(&["bad.csv"], config);
        assert!(error.contains("line 3, column `n`") && error.contains("`x`"), "{error}");
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..config.clone() };
        let all = trained.predict(&["ragged.csv", "bad.csv"], &skip).unwrap();
        assert_eq!((all.categories, all.refused.len()), (vec![1, 2], 3));
        assert_eq!(all.names, ["ragged.csv:4", "bad.csv:2"]);
        let left_out = [(0, "ragged.csv:2"), (0, "ragged.csv:3"), (1, "bad.csv:3")];
        assert_eq!(all.refused, left_out.map(|(before, name)| (before, name.to_string())));
        let busy = TableConfig { workers: 300, ..skip };
        assert!(refused(&["new.csv"], &busy).starts_with("data.workers: expected 0 to 256"));
    }

    #[test]
    fn rows_without_a_header_may_lack_the_target() {
        let names = Some(["n", "c", "y"].map(String::from).to_vec());
        let config = TableConfig { column_names: names, ..TableConfig::default() };
        let (_, rows) = SMALL.split_once('\n').unwrap();
        let trained = Trained::new(config, &[("t.csv", rows), ("new.csv", "3,blue\n2,red\n")]);
        let all = trained.predict(&["new.csv"], &trained.config).unwrap();
        assert_eq!((all.categories, all.names), (vec![1, 2], vec!["new.csv:1".into(), "new.csv:2".into()]));
    }

    #[test]
    fn columns_are_carried_along_as_they_are_spelled() {
        let trained = Trained::new(
            TableConfig::default(),
            &[
                ("t.csv", SMALL),
                ("new.csv", "id,c,n,name\n007,green,3,a b\n8,blue,x,\n1e2,red, 1 ,c\n"),
                (
                    "new.jsonl",
                    "{\"n\": 1, \"c\": \"red\", \"id\": 7}\n{\"n\": 2, \"c\": \"?\", \"id\": \"8\"}\n{\"n\": 2}\n",
                ),
            ],
        );
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..trained.config.clone() };
        let text = |text: &str| KeptCell::Text(text.to_string());
        let all = trained.predict_keeping(&["new.csv"], &skip, &["name", "id", "n"]).unwrap();
        let rows = [[text("a b"), text("007"), text("3")], [text("c"), text("1e2"), text("1")]];
        assert_eq!(all.kept, rows);
        assert_eq!((all.refused, all.categories), (vec![(1, "new.csv:3".to_string())], vec![0, 2]));
        let all = trained.predict_keeping(&["new.jsonl"], &skip, &["id"]).unwrap();
        assert_eq!(all.kept, [[KeptCell::Number("7".into())], [text("8")], [KeptCell::Missing]]);
        for file in ["new.csv", "new.jsonl"] {
            let error = trained.predict_keeping(&[file], &skip, &["idd"]).unwrap_err();
            assert!(
                error.contains("a column `idd`, which is to be kept, found none; the nearest are `id`"),
                "{error}"
            );
        }
        // The target is kept where it is there.
        let error = trained.predict_keeping(&["new.csv"], &skip, &["y"]).unwrap_err();
        assert!(error.contains("a column `y`"), "{error}");
        let all = trained.predict_keeping(&["t.csv"], &skip, &["y"]).unwrap();
        assert_eq!(all.kept[1], [text("b")]);
    }

    #[test]
    fn a_long_file_comes_in_parts_whatever_its_format() {
        let colour = |row: usize| ["red", "blue", "green"][row % 3];
        let csv: String = (0..600).map(|row| format!("{row},{}\n", colour(row))).collect();
        let json = |row: usize| match row % 3 {
            // Of a key that is missing in one piece and there in another.
            1 if row > 300 => format!("{{\"n\": {row}}}\n"),
            _ => format!("{{\"n\": {row}, \"c\": \"{}\"}}\n", colour(row)),
        };
        let jsonl: String = (0..600).map(json).collect();
        let trained = Trained::new(
            TableConfig::default(),
            &[("t.csv", SMALL), ("long.csv", &format!("n,c\n{csv}")), ("long.jsonl", &jsonl)],
        );
        let packed = zstd::encode_all(format!("n,c\n{csv}").as_bytes(), 1).unwrap();
        fs::write(trained.uri("packed.csv.zst"), packed).unwrap();
        let long = trained.predict(&["long.csv"], &trained.config).unwrap();
        // In tests a block has 256 bytes.
        assert!(long.pieces > 10);
        assert_eq!(long.names, (2..602).map(|line| format!("long.csv:{line}")).collect::<Vec<_>>());
        assert_eq!(long.categories, (0..600).map(|row| [2, 1, 0][row % 3]).collect::<Vec<_>>());
        let packed = trained.predict(&["packed.csv.zst"], &trained.config).unwrap();
        assert_eq!((packed.numeric, packed.categories), (long.numeric.clone(), long.categories));
        let jsonl = trained.predict(&["long.jsonl"], &trained.config).unwrap();
        assert_eq!((jsonl.numeric, jsonl.pieces > 10), (long.numeric, true));
        assert_eq!(jsonl.categories[301], 0);
    }
}
