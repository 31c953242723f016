//! Rows of answers on their way to a file: JSON lines, CSV, Parquet.

use super::rows::{Cell, Layout, Row};
use crate::args::AnswerFormat;
use anyhow::{Context, Result};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bonfire_run::KeptCell;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::io::Write;
use std::sync::Arc;

/// Rows of a row group of Parquet, which is held until it is whole.
const ROW_GROUP: usize = 1 << 16;

/// Takes rows, some at a time.
pub trait WriteRows {
    /// Writes rows, with numbers of so many digits behind the point where `digits` says it.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write(&mut self, rows: &[Row], digits: Option<u8>) -> Result<()>;

    /// Writes what is left.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// The writer of a format.
///
/// # Errors
/// When the names of the columns cannot be written.
pub fn writer<'a>(
    format: AnswerFormat,
    layout: &'a Layout,
    out: &'a mut (dyn Write + Send),
) -> Result<Box<dyn WriteRows + 'a>> {
    Ok(match format {
        AnswerFormat::Jsonl => Box::new(Lines { layout, out }),
        AnswerFormat::Csv => {
            let mut out = csv::Writer::from_writer(out);
            let answer = layout.answer.iter().map(|column| column.name.as_str());
            let names = ["input"].into_iter().chain(layout.kept()).chain(answer).chain(["error"]);
            out.write_record(names).map_err(of_output)?;
            Box::new(Csv { layout, out })
        }
        AnswerFormat::Parquet => Box::new(Parquet::begin(layout, out)?),
    })
}

/// A JSON object a line.
struct Lines<'a> {
    layout: &'a Layout,
    out: &'a mut (dyn Write + Send),
}

impl WriteRows for Lines<'_> {
    fn write(&mut self, rows: &[Row], digits: Option<u8>) -> Result<()> {
        for row in rows {
            // An error of the output itself, so that a pipe that was closed passes for an end.
            serde_json::to_writer(&mut *self.out, &self.layout.line(row, digits))
                .map_err(std::io::Error::from)?;
            self.out.write_all(b"\n")?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Cells separated by commas; a cell without a value is empty.
struct Csv<'a> {
    layout: &'a Layout,
    out: csv::Writer<&'a mut (dyn Write + Send)>,
}

impl WriteRows for Csv<'_> {
    fn write(&mut self, rows: &[Row], digits: Option<u8>) -> Result<()> {
        for row in rows {
            let mut record = vec![row.input.clone()];
            let kept = |at| row.kept.get(at).and_then(KeptCell::text).unwrap_or_default().to_string();
            record.extend((0..self.layout.kept().count()).map(kept));
            let error = match &row.answer {
                Ok(answer) => {
                    record.extend(self.layout.cells(answer, digits)?.into_iter().map(|cell| match cell {
                        Cell::Text(text) => text,
                        Cell::Number(number) => number.to_string(),
                    }));
                    String::new()
                }
                Err(error) => {
                    record.resize(record.len() + self.layout.answer.len(), String::new());
                    error.clone()
                }
            };
            record.push(error);
            self.out.write_record(&record).map_err(of_output)?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// An error of the output itself, where it is one.
fn of_output(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => anyhow::anyhow!("a row of CSV: {other:?}"),
    }
}

/// Apache Parquet: text and 64-bit floating-point numbers, null where there is no value.
struct Parquet<'a> {
    layout: &'a Layout,
    schema: Arc<Schema>,
    out: ArrowWriter<&'a mut (dyn Write + Send)>,
}

impl<'a> Parquet<'a> {
    fn begin(layout: &'a Layout, out: &'a mut (dyn Write + Send)) -> Result<Self> {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let mut fields = vec![Field::new("input", DataType::Utf8, false)];
        fields.extend(layout.kept().map(text));
        fields.extend(layout.answer.iter().map(|column| match column.is_number {
            true => Field::new(&column.name, DataType::Float64, true),
            false => text(&column.name),
        }));
        fields.push(text("error"));
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let out = ArrowWriter::try_new(out, schema.clone(), Some(properties)).context("Parquet")?;
        Ok(Parquet { layout, schema, out })
    }
}

impl WriteRows for Parquet<'_> {
    fn write(&mut self, rows: &[Row], digits: Option<u8>) -> Result<()> {
        let answers = rows
            .iter()
            .map(|row| row.answer.as_ref().ok().map(|answer| self.layout.cells(answer, digits)).transpose())
            .collect::<Result<Vec<_>>>()?;
        let strings = |cells: Vec<Option<&str>>| Arc::new(StringArray::from(cells)) as ArrayRef;
        let mut columns = vec![strings(rows.iter().map(|row| Some(row.input.as_str())).collect())];
        for at in 0..self.layout.kept().count() {
            let cell = |row: &'_ Row| row.kept.get(at).and_then(KeptCell::text).map(str::to_string);
            columns.push(Arc::new(StringArray::from_iter(rows.iter().map(cell))));
        }
        for (at, column) in self.layout.answer.iter().enumerate() {
            let cells = answers.iter().map(|cells| cells.as_ref().map(|cells| &cells[at]));
            columns.push(match column.is_number {
                true => Arc::new(Float64Array::from_iter(cells.map(|cell| match cell {
                    Some(Cell::Number(number)) => Some(*number),
                    _ => None,
                }))),
                false => strings(
                    cells
                        .map(|cell| match cell {
                            Some(Cell::Text(text)) => Some(text.as_str()),
                            _ => None,
                        })
                        .collect(),
                ),
            });
        }
        columns.push(strings(rows.iter().map(|row| row.answer.as_ref().err().map(String::as_str)).collect()));
        let batch = RecordBatch::try_new(self.schema.clone(), columns).context("Parquet")?;
        Ok(self.out.write(&batch)?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let out = self.out.into_inner()?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use bonfire_models::spec::Question;
    use bonfire_run::Answer;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn written(format: AnswerFormat, digits: Option<u8>) -> Vec<u8> {
        let labels = vec!["a, b".to_string(), "c".to_string()];
        let layout = Layout::new(&Question::Class(2), labels, &["id".to_string()]).unwrap();
        let answer = Answer::Class { class: 0, probabilities: vec![0.75, 0.25] };
        let kept = vec![KeptCell::Text("007".into())];
        let rows = [
            Row { input: "x.csv:2".into(), kept, answer: Ok(answer) },
            Row { input: "x.csv:3".into(), kept: Vec::new(), answer: Err("line 3: expected \"a\"".into()) },
        ];
        let mut out = Vec::new();
        let mut writer = writer(format, &layout, &mut out).unwrap();
        rows.chunks(1).for_each(|rows| writer.write(rows, digits).unwrap());
        writer.finish().unwrap();
        out
    }

    #[test]
    fn every_format_has_the_same_rows() {
        let csv = String::from_utf8(written(AnswerFormat::Csv, None)).unwrap();
        assert_eq!(
            csv,
            "input,id,label,probability,\"p_a, b\",p_c,error\n\
             x.csv:2,007,\"a, b\",0.75,0.75,0.25,\n\
             x.csv:3,,,,,,\"line 3: expected \"\"a\"\"\"\n"
        );
        let lines = String::from_utf8(written(AnswerFormat::Jsonl, Some(1))).unwrap();
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["id"], &lines[0]["probabilities"]["c"]), (&"007".into(), &0.2.into()));
        assert!(lines[1]["id"].is_null() && lines[1]["label"].is_null(), "{}", lines[1]);

        let parquet = bytes::Bytes::from(written(AnswerFormat::Parquet, None));
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap().build().unwrap();
        let batch = reader.next().unwrap().unwrap();
        assert!(reader.next().is_none() && batch.num_rows() == 2);
        let names: Vec<&str> =
            batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["input", "id", "label", "probability", "p_a, b", "p_c", "error"]);
        let text = |name: &str| batch[name].as_string::<i32>();
        assert_eq!((text("id").value(0), text("label").value(0)), ("007", "a, b"));
        assert!(text("id").is_null(1) && text("label").is_null(1) && text("error").is_null(0));
        let numbers = batch["p_c"].as_primitive::<Float64Type>();
        assert!(numbers.value(0) == 0.25 && numbers.is_null(1));
    }
}
