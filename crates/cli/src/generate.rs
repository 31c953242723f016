//! Text from a language model, a token at a time.

use crate::args::PredictArguments;
use crate::registry::VisitModel;
use crate::run::Run;
use anyhow::{Context, Result, bail, ensure};
use bonfire_contract::Tokens;
use bonfire_datasets::text::TextSchema;
use bonfire_models::{Architecture, LanguageModel};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde_json::json;
use std::io::Write;
use std::path::Path;

const DEFAULT_TOKENS: usize = 500;
const DEFAULT_TEMPERATURE: f64 = 0.8;

/// Continues each prompt and writes `{"input", "text"}` lines.
///
/// # Errors
/// When a prompt is empty or holds a symbol outside the vocabulary, or an option is impossible.
pub fn generate(
    run: &Run,
    schema: &TextSchema,
    arguments: &PredictArguments,
    out: &mut dyn Write,
) -> Result<()> {
    let temperature = arguments.temperature.unwrap_or(DEFAULT_TEMPERATURE);
    ensure!(
        temperature >= 0.0 && temperature.is_finite(),
        "--temperature: expected a number of at least 0, found {temperature}"
    );
    ensure!(arguments.top_k != Some(0), "--top-k: expected at least 1, found 0");
    let mut prompts = Vec::with_capacity(arguments.inputs.len());
    for input in &arguments.inputs {
        let tokens = match Path::new(input).is_file() {
            true => schema.encode(
                &std::fs::read_to_string(input)
                    .with_context(|| format!("{input}: expected a prompt in UTF-8"))?,
            )?,
            false => schema.encode(input)?,
        };
        ensure!(
            !tokens.is_empty(),
            "'{input}': expected a prompt of at least one token, found an empty text"
        );
        prompts.push(tokens);
    }
    let texts = run.visit(Continue { run, schema, arguments, prompts })?;
    for (prompt, text) in arguments.inputs.iter().zip(texts) {
        serde_json::to_writer(&mut *out, &json!({ "input": prompt, "text": text }))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

struct Continue<'a> {
    run: &'a Run,
    schema: &'a TextSchema,
    arguments: &'a PredictArguments,
    prompts: Vec<Vec<u32>>,
}

impl VisitModel for Continue<'_> {
    type Output = Vec<String>;

    fn visit<A: Architecture>(self, model: A::Model, _: A) -> Result<Vec<String>> {
        let Some(model) = A::language_model(&model) else {
            bail!("expected a language model, found one that answers otherwise");
        };
        let mut texts = Vec::with_capacity(self.prompts.len());
        for (number, mut tokens) in self.prompts.into_iter().enumerate() {
            let mut sampler = Sampler::new(self.arguments, number as u64);
            let prompt = tokens.len();
            for _ in 0..self.arguments.tokens.unwrap_or(DEFAULT_TOKENS) {
                // Learned positions end where training's windows did: older tokens fall out.
                let start = tokens.len().saturating_sub(self.schema.max_tokens);
                let logits = next_logits(model, &tokens[start..], &self.run.device)?;
                tokens.push(sampler.choose(&logits));
            }
            texts.push(self.schema.decode(&tokens[prompt..]));
        }
        Ok(texts)
    }
}

/// The logits of the token after `tokens`, `[V]`.
fn next_logits(model: &dyn LanguageModel, tokens: &[u32], device: &Device) -> Result<Vec<f32>> {
    let length = tokens.len();
    let data = TensorData::new(tokens.iter().map(|token| i64::from(*token)).collect(), [1, length]);
    let tokens = Tokens {
        tokens: Tensor::<2, Int>::from_data(data, device),
        padding: Tensor::<2, Bool>::from_data(TensorData::new(vec![false; length], [1, length]), device),
    };
    let logits = model.next_logits(tokens); // [1, V]
    Ok(logits.into_data().convert::<f32>().try_to_vec::<f32>()?)
}

/// Draws tokens by temperature among the likeliest.
struct Sampler {
    temperature: f64,
    top_k: usize,
    state: u64,
}

impl Sampler {
    fn new(arguments: &PredictArguments, stream: u64) -> Self {
        Sampler {
            temperature: arguments.temperature.unwrap_or(DEFAULT_TEMPERATURE),
            top_k: arguments.top_k.unwrap_or(usize::MAX),
            state: arguments.seed.unwrap_or(1).wrapping_add(stream.wrapping_mul(0xA076_1D64_78BD_642F)),
        }
    }

    /// A number in `[0, 1)` by SplitMix64 (Steele et al. 2014).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn choose(&mut self, logits: &[f32]) -> u32 {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        if self.temperature == 0.0 {
            return order[0] as u32;
        }
        order.truncate(self.top_k);
        let highest = f64::from(logits[order[0]]);
        let temperature = self.temperature;
        let weight = |index: &usize| ((f64::from(logits[*index]) - highest) / temperature).exp();
        let mut left = self.uniform() * order.iter().map(weight).sum::<f64>();
        for index in &order {
            left -= weight(index);
            if left < 0.0 {
                return *index as u32;
            }
        }
        order[order.len() - 1] as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_k: usize) -> Sampler {
        Sampler { temperature, top_k, state: 7 }
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        assert_eq!(sampler(0.0, usize::MAX).choose(&[0.1, 3.0, 2.9]), 1);
    }

    #[test]
    fn top_k_never_leaves_the_likeliest() {
        let mut sampler = sampler(5.0, 2);
        assert!((0..200).all(|_| sampler.choose(&[0.0, 3.0, -1.0, 2.0]) % 2 == 1));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut sampler = sampler(1.0, usize::MAX);
        let logits = [0.0, 3f32.ln()]; // probabilities 1/4 and 3/4
        let ones = (0..4000).filter(|_| sampler.choose(&logits) == 1).count();
        assert!((2800..3200).contains(&ones), "{ones}");
    }
}
