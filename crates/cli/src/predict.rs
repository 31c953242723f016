//! `bonfire predict`: an answer for each picture, row, text or prompt, as JSON lines or as a table.
//!
//! ```text
//! inputs -> Predictor -> Answered -> Row (input, kept cells, answer or error) -> JSON lines | CSV | Parquet
//! ```

mod rows;
mod write;

use crate::args::{AnswerFormat, PredictArguments};
use crate::output::OutputFile;
use crate::sheet::Sheet;
use anyhow::{Result, bail};
use bonfire_recipe::DataConfig;
use bonfire_run::{Answered, Generation, Run};
use rows::{Layout, Row};
use std::io::{BufWriter, IsTerminal, Write, stdout};
use std::ops::ControlFlow;
use std::path::Path;
use write::{WriteRows, writer};

/// Runs the subcommand.
pub fn predict(arguments: &PredictArguments) -> Result<()> {
    let run = crate::open(&arguments.run)?;
    let format = format(arguments);
    let Some(path) = &arguments.output else {
        if format == AnswerFormat::Parquet && stdout().is_terminal() {
            bail!("--format parquet: expected --output FILE, found a terminal to write to");
        }
        return answer_all(&run, arguments, format, &mut BufWriter::new(stdout()));
    };
    let mut file = OutputFile::create(path)?;
    answer_all(&run, arguments, format, &mut file)?;
    file.finish()
}

/// The format that was asked for, or that the ending of the output says.
fn format(arguments: &PredictArguments) -> AnswerFormat {
    let output = arguments.output.as_deref().filter(|path| !path.exists() || path.is_file());
    match (arguments.format, output) {
        (Some(format), _) => format,
        (None, None) => AnswerFormat::Jsonl,
        (None, Some(path)) => of_ending(path).unwrap_or_else(|| {
            eprintln!("{}: written as JSON lines; --format csv or parquet writes a table", path.display());
            AnswerFormat::Jsonl
        }),
    }
}

/// The format that a file's ending names; none for the ending of something else.
fn of_ending(path: &Path) -> Option<AnswerFormat> {
    let Some(ending) = path.extension() else { return Some(AnswerFormat::Jsonl) };
    match ending.to_string_lossy().to_lowercase().as_str() {
        "csv" => Some(AnswerFormat::Csv),
        "parquet" | "pq" => Some(AnswerFormat::Parquet),
        "jsonl" | "ndjson" | "json" => Some(AnswerFormat::Jsonl),
        _ => None,
    }
}

/// Writes an answer for each input.
fn answer_all(
    run: &Run,
    arguments: &PredictArguments,
    format: AnswerFormat,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let device = run.device(arguments.device.as_deref())?;
    let (data, generation) = (&run.recipe.data, generation(run, arguments)?);
    let sheet = match (&arguments.sheet, data) {
        (None, _) => None,
        (Some(path), DataConfig::Image(_)) => Some(Sheet::create(path, &run.recipe.name)?),
        (Some(_), _) => bail!("--sheet: expected a run on pictures, found one on {}s", data.kind()),
    };
    let mut predictor = run.predictor_with(device, arguments.crops, generation)?;
    predictor.keep(arguments.keep.clone())?;
    let question = run.schema.spec(&run.recipe.loss).question;
    let layout = Layout::new(&question, predictor.labels().to_vec(), &arguments.keep)?;
    for (column, name) in layout.renamed() {
        eprintln!("--keep: `{column}` is written as `{name}`, as answers have a `{column}` of their own");
    }
    let rows = writer(format, &layout, out)?;
    let mut written = Written { rows, sheet, layout: &layout, digits: arguments.digits };
    let mut refused = None;
    let unanswered = predictor.predict(&arguments.inputs, &mut |batch| match written.batch(batch) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            refused = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = refused {
        return Err(error);
    }
    if unanswered > 0 {
        eprintln!("warning: {unanswered} inputs have no answer");
    }
    written.sheet.map_or(Ok(()), Sheet::finish)?;
    written.rows.finish()
}

/// The options of a language model, which no other model has.
fn generation(run: &Run, arguments: &PredictArguments) -> Result<Generation> {
    let given = [
        ("--tokens", arguments.tokens.is_some()),
        ("--temperature", arguments.temperature.is_some()),
        ("--top-k", arguments.top_k.is_some()),
        ("--seed", arguments.seed.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given && !run.is_language_model()) {
        bail!("{option}: expected a run of a language model, found a '{}'", run.recipe.model);
    }
    let default = Generation::default();
    Ok(Generation {
        tokens: arguments.tokens.unwrap_or(default.tokens),
        temperature: arguments.temperature.unwrap_or(default.temperature),
        top_k: arguments.top_k,
        seed: arguments.seed.unwrap_or(default.seed),
    })
}

/// The rows and the page that answers are written to.
struct Written<'a> {
    rows: Box<dyn WriteRows + 'a>,
    sheet: Option<Sheet>,
    layout: &'a Layout,
    digits: Option<u8>,
}

impl Written<'_> {
    /// Writes the answers of a batch, and hands them on before the next one is read.
    fn batch(&mut self, batch: Vec<Answered<'_>>) -> Result<()> {
        let mut rows = Vec::with_capacity(batch.len());
        for answered in batch {
            if let (Some(sheet), Ok(answer)) = (&mut self.sheet, &answered.answer) {
                let object = self.layout.object(answer, self.digits);
                sheet.add(&answered.input, &object, || {
                    Ok(answered.picture().transpose()?.unwrap_or_default())
                })?;
            }
            let Answered { input, kept, answer, .. } = answered;
            rows.push(Row { input, kept, answer: answer.map_err(|error| error.to_string()) });
        }
        self.rows.write(&rows, self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_the_output_says_how_it_is_written() {
        let of = |name: &str| of_ending(Path::new(name));
        assert_eq!(of("a/b.CSV"), Some(AnswerFormat::Csv));
        assert_eq!(of("b.parquet"), Some(AnswerFormat::Parquet));
        assert_eq!([of("b.jsonl"), of("b"), of("b.json")], [Some(AnswerFormat::Jsonl); 3]);
        assert_eq!([of("b.xlsx"), of("b.csv.gz")], [None; 2]);
    }
}
