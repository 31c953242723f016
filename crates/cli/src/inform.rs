//! `bonfire models`, `bonfire recipes`, `bonfire devices`.

use crate::describe::{Description, describe};
use anyhow::{Result, bail};
use bonfire_contract::{did_you_mean, nearest};
use bonfire_models::registry::{ARCHITECTURES, names};
use bonfire_models::spec::{Question, Sample, Spec};
use bonfire_train::abbreviated;
use std::io::{Write, stdout};

/// Lists the architectures, or shows one with its options and sizes.
pub fn models(name: Option<&str>) -> Result<()> {
    let mut out = stdout().lock();
    let Some(name) = name else {
        writeln!(out, "{:<18} {:<8} {:>12} {:>13}  about", "model", "eats", "parameters", "multiply-adds")?;
        for architecture in ARCHITECTURES {
            let Description { parameters, multiply_adds, .. } = describe(architecture.name)?;
            let eats = (architecture.example)().sample.kind();
            let (name, about) = (architecture.name, architecture.about);
            let (parameters, multiply_adds) = (grouped(parameters), abbreviated(multiply_adds));
            writeln!(out, "{name:<18} {eats:<8} {parameters:>12} {multiply_adds:>13}  {about}")?;
        }
        writeln!(
            out,
            "\nParameters, and multiply-adds of a forward pass of one sample, are of the default options on the sizes \
             that `bonfire models NAME` states."
        )?;
        return Ok(());
    };
    let names = names();
    let Some(architecture) = ARCHITECTURES.iter().find(|architecture| architecture.name == name) else {
        let suggestion = did_you_mean(nearest(name, names.iter().copied()));
        bail!("model '{name}': expected one of {}{suggestion}", names.join(", "));
    };
    let description = describe(name)?;
    writeln!(out, "{name}: {}\n\neats {}", architecture.about, sizes(&(architecture.example)()))?;
    if let Some(counted) = architecture.counted {
        writeln!(out, "or {}", sizes(&counted()))?;
    }
    writeln!(out)?;
    writeln!(out, "options, below [model] in a recipe:")?;
    for (key, value) in &description.options {
        writeln!(out, "  {key} = {value}")?;
    }
    writeln!(out, "\n{}", description.summary)?;
    let exact = grouped(description.multiply_adds as usize);
    writeln!(
        out,
        "multiply-adds of a forward pass of one sample: {exact} ({})",
        abbreviated(description.multiply_adds)
    )?;
    Ok(())
}

/// The sizes of an example, and the question asked, in words.
fn sizes(spec: &Spec) -> String {
    let question = match spec.question {
        Question::Class(classes) => format!("answers with one of {classes} classes"),
        Question::Labels(labels) => format!("answers which of {labels} labels fit"),
        Question::Value(values) => format!("answers with {values} value"),
        Question::NextToken => "answers with the next token".to_string(),
        Question::Reconstruction => "answers with its input".to_string(),
    };
    let sample = match spec.sample {
        Sample::Table { num_numeric, .. } => {
            format!("rows of a table (here {num_numeric} numeric columns)")
        }
        Sample::Image([channels, height, width]) => {
            format!("pictures (here {channels} x {height} x {width})")
        }
        Sample::Text { vocabulary, max_tokens } => {
            format!("text (here a vocabulary of {vocabulary}, {max_tokens} tokens)")
        }
        Sample::Bag { features } => format!("counted n-grams of texts (here {features} different ones)"),
    };
    format!("{sample}, {question}")
}

/// Lists the built-in recipes, or prints one.
pub fn recipes(name: Option<&str>) -> Result<()> {
    let mut out = stdout().lock();
    match name {
        Some(name) => write!(out, "{}", bonfire_recipe::builtin(name)?)?,
        None => {
            for (name, text) in bonfire_recipe::BUILTIN {
                let first = text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
                writeln!(out, "{name:<20} {first}")?;
            }
        }
    }
    Ok(())
}

/// Lists the devices of this build and this machine.
pub fn devices() -> Result<()> {
    let mut out = stdout().lock();
    for listing in bonfire_device::list() {
        let state = match listing.devices {
            Some(1) => "1 device".to_string(),
            Some(count) => format!("{count} devices"),
            None => format!("build with --features {}", listing.feature),
        };
        writeln!(out, "{:<8} {state:<32} {}", listing.name, listing.description)?;
    }
    Ok(())
}

/// `1,234,567`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(["7", "1,000", "12,345,678"], [7, 1000, 12_345_678].map(super::grouped).as_slice());
    }
}
