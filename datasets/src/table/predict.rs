//! Rows to predict: read once, some at a time.

use super::config::TableConfig;
use super::encode::Encoder;
use super::packing::Packing;
use super::schema::{TableSchema, column_indices};
use super::set::TableSet;
use crate::inputs::Put;
use crate::records::{Format, Found, Frame, files};
use crate::{DataError, InputPiece, InputPieces, Names, Pipeline};
use std::collections::HashSet;

/// Reads rows to predict from files of any of the formats, with or without the target column: about 1 MiB of
/// them at a time, or 8,192 rows of Parquet, of which a row group's columns are held. Categories that
/// training never saw go to the unknown slot. Each row is named `rows.csv:3`, by its line (or its row, in
/// Parquet files).
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
    config.check_sizes()?;
    if inputs.is_empty() {
        return Err(DataError::source("predict", "at least one file of rows", "no input"));
    }
    let (config, schema, inputs) = (config.as_trained(schema), schema.clone(), inputs.to_vec());
    let (encoder, packing) = (Encoder::new(&schema, &config, false), Packing::new(&config, Some(&schema)));
    Ok(InputPieces::of(move |put| {
        inputs.iter().try_for_each(|uri| {
            // The recipe's format is the training file's; rows to predict may come in another.
            let format = if tells_format(uri) { None } else { config.format };
            let config = TableConfig { format, ..config.clone() };
            let names = schema.columns.iter().map(|column| column.name.clone()).collect();
            let (config, schema, encoder) = (&config, &schema, &encoder);
            let packing = &packing;
            RowPieces { config, schema, encoder, packing, names, put: &mut *put, any: false }.read(uri)
        })
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
    /// The names of the input columns.
    names: HashSet<String>,
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
        let RowPieces { config, schema, .. } = *self;
        let (format, names) = (config.format(uri)?, self.names.clone());
        let column = |name: &str| config.column_of(&names, name);
        let options = config.options(uri, format, &column, Some(schema.target.name()))?;
        let (mut first, mut skipped) = (true, 0);
        format.reader(uri)?.pieces(uri, &options, &mut |found| match found {
            Found::Unreadable(_, error) => config.on_corrupt.refuse(error, &mut skipped),
            Found::Frame(mut frame) => {
                if frame.varies {
                    complete(&mut frame, schema, std::mem::take(&mut first))?;
                }
                self.piece(frame, std::mem::take(&mut skipped))
            }
        })
    }

    /// Encodes rows and puts them; `skipped` of their file could not be read.
    fn piece(&mut self, mut frame: Frame, mut skipped: u64) -> Result<(), DataError> {
        let RowPieces { config, encoder, packing, .. } = *self;
        packing.pack(&mut frame);
        let all: Vec<usize> = (0..frame.len()).collect();
        let (rows, left_out) = encoder.keep_readable(&frame, &all)?;
        skipped += left_out;
        if rows.is_empty() && skipped == 0 {
            return Ok(());
        }
        self.any |= !rows.is_empty();
        let names = rows.iter().map(|&row| format!("{}:{}", frame.file(row), frame.lines[row])).collect();
        let set = TableSet::held(encoder.encode(&frame, &rows)?, skipped);
        (self.put)(InputPiece { samples: Pipeline::new(set, config.in_order(0)), names: Names::Each(names) })
    }
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
    use crate::{Dataset, Draw, OnCorrupt};
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
        skipped: u64,
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
            let uris: Vec<String> = names.iter().map(|name| self.uri(name)).collect();
            let mut all = All::default();
            for piece in open_prediction(config, &self.schema, &uris).map_err(|error| error.to_string())? {
                let InputPiece { samples, names } = piece.map_err(|error| error.to_string())?;
                let set = samples.dataset();
                let rows = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
                let (table, target) = set.collate(rows, &Device::flex());
                assert!(matches!(target, Target::Absent));
                all.numeric.extend(table.numeric.into_data().iter::<f32>());
                all.categories.extend(table.categories.into_data().iter::<i64>());
                let name = |sample| names.of(sample).rsplit('/').next().unwrap().to_string();
                all.names.extend((0..set.len()).map(name));
                all.skipped += samples.skipped().count();
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
        assert_eq!((all.categories, all.skipped), (vec![1, 2], 3));
        assert_eq!(all.names, ["ragged.csv:4", "bad.csv:2"]);
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
