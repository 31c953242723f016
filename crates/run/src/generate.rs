//! Text from a language model, a token at a time.

use crate::RunError;
use crate::answer::{Answer, NotFinite, finite, numbers};
use crate::predictor::{Answered, Each, Predictor, no_columns};
use crate::record::Record;
use bonfire_contract::{SplitMix64, Task, Tokens};
use bonfire_datasets::text::TextSchema;
use bonfire_datasets::{DataError, names_files, source};
use bonfire_kernels::threads;
use bonfire_models::LanguageModel;
use burn::tensor::{Device, Tensor, TensorData};

/// The length of a language model's text, and the chance in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Tokens to write.
    pub tokens: usize,
    /// Divides the logits: 0 always takes the likeliest token, 1 draws by the model's own probabilities.
    pub temperature: f64,
    /// The number of likeliest tokens to choose among; all where there is none.
    pub top_k: Option<usize>,
    /// Seeds the choices.
    pub seed: u64,
}

impl Default for Generation {
    fn default() -> Self {
        Generation { tokens: 500, temperature: 0.8, top_k: None, seed: 1 }
    }
}

impl Generation {
    /// Refuses options that choose nothing.
    ///
    /// # Errors
    /// On a temperature that is negative or no number, and on a choice among 0 tokens.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        let Generation { temperature, top_k, .. } = self;
        if !(*temperature >= 0.0 && temperature.is_finite()) {
            return Err(RunError::argument("temperature", "a number of at least 0", temperature));
        }
        match top_k {
            Some(0) => Err(RunError::argument("top_k", "at least 1", 0)),
            _ => Ok(()),
        }
    }
}

/// A language model that continues prompts.
pub(crate) struct Writer<M> {
    model: bonfire_train::Predictor<M>,
    language: AsLanguageModel<M>,
    schema: TextSchema,
    device: Device,
    options: Generation,
}

/// The model as a language model, if it is one.
pub(crate) type AsLanguageModel<M> = fn(&M) -> Option<&dyn LanguageModel>;

impl<M> Writer<M> {
    pub(crate) fn new(
        model: M,
        language: AsLanguageModel<M>,
        schema: TextSchema,
        device: Device,
        options: Generation,
    ) -> Self {
        Writer { model: bonfire_train::Predictor::new(model), language, schema, device, options }
    }

    /// The tokens of a prompt.
    fn prompt(&self, name: &str, text: &str) -> Result<Vec<u32>, DataError> {
        let tokens = self.schema.encode(text)?;
        if tokens.is_empty() {
            let name = format!("'{name}'");
            return Err(DataError::source(name, "a prompt of at least one token", "an empty text"));
        }
        Ok(tokens)
    }

    /// The text behind a prompt, where the model's numbers are finite. Choices are drawn from a stream of
    /// this number.
    fn continued(&self, mut tokens: Vec<u32>, stream: u64) -> Result<Result<Answer, NotFinite>, RunError> {
        let Some(model) = (self.language)(self.model.model()) else {
            return Err(RunError::unexpected("predict", "a language model", "one that answers otherwise"));
        };
        let mut sampler = Sampler::new(&self.options, stream);
        let prompt = tokens.len();
        for _ in 0..self.options.tokens {
            // Learned positions end where training's windows did: older tokens fall out.
            let start = tokens.len().saturating_sub(self.schema.max_tokens);
            let last: Vec<i64> = tokens[start..].iter().map(|token| i64::from(*token)).collect();
            let shape = [1, last.len()];
            let padding = TensorData::new(vec![false; last.len()], shape);
            let last = Tokens {
                tokens: Tensor::from_data(TensorData::new(last, shape), &self.device),
                padding: Tensor::from_data(padding, &self.device),
            };
            let logits = self.model.ask(|_| model.next_logits(last));
            match finite(numbers(logits.into_data())) {
                Ok(logits) => tokens.push(sampler.choose(&logits)), // [V]
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(Answer::Text(self.schema.decode(&tokens[prompt..]))))
    }

    fn answer_records(&mut self, records: Vec<Record>) -> Result<Vec<Result<Answer, DataError>>, RunError> {
        let mut answers = Vec::with_capacity(records.len());
        for (number, record) in records.into_iter().enumerate() {
            let place = format!("request, record {number}");
            let prompt = match &record {
                Record::Text(text) => self.prompt(text, text),
                other => Err(DataError::source(&place, "a prompt", other)),
            };
            // Each prompt has the same stream, so that its text does not depend on its place.
            answers.push(match prompt {
                Ok(tokens) => self.continued(tokens, 0)?.map_err(|error| error.at(place)),
                Err(error) => Err(error),
            });
        }
        Ok(answers)
    }
}

impl<M: Task> Predictor for Writer<M> {
    fn labels(&self) -> &[String] {
        &[]
    }

    fn answer(&mut self, records: Vec<Record>) -> Result<Vec<Result<Answer, DataError>>, RunError> {
        threads::inside(|| self.answer_records(records))
    }

    /// Each input is a prompt, or a file of one, which may lie in a bucket. Prompts of one call have choices
    /// of their own, even where they are alike.
    fn predict(&mut self, inputs: &[String], each: Each<'_>) -> Result<u64, RunError> {
        let mut prompts = Vec::with_capacity(inputs.len());
        for input in inputs {
            let text = if names_files(input) { read_prompt(input)? } else { input.clone() };
            prompts.push(self.prompt(input, &text)?);
        }
        let mut unanswered = 0;
        for (number, (input, prompt)) in inputs.iter().zip(prompts).enumerate() {
            let answer = self.continued(prompt, number as u64)?;
            unanswered += u64::from(answer.is_err());
            let answer = answer.map_err(|error| error.at(format!("'{input}'")));
            if each(vec![Answered { input: input.clone(), kept: Vec::new(), answer, picture: None }])
                .is_break()
            {
                break;
            }
        }
        Ok(unanswered)
    }

    fn keep(&mut self, columns: Vec<String>) -> Result<(), RunError> {
        if columns.is_empty() { Ok(()) } else { Err(no_columns("prompts")) }
    }
}

/// The text of a file that holds one prompt, without the mark of UTF-8.
///
/// # Errors
/// When nothing readable is there, or it is not UTF-8.
fn read_prompt(uri: &str) -> Result<String, DataError> {
    let bytes = source::read_unpacked(uri)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| DataError::source(uri, "a prompt in UTF-8", format!("none: {error}")))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_string())
}

/// Draws tokens by temperature among the likeliest.
struct Sampler {
    temperature: f64,
    top_k: usize,
    draws: SplitMix64,
}

impl Sampler {
    fn new(options: &Generation, stream: u64) -> Self {
        Sampler {
            temperature: options.temperature,
            top_k: options.top_k.unwrap_or(usize::MAX),
            draws: SplitMix64::new(options.seed.wrapping_add(stream.wrapping_mul(0xA076_1D64_78BD_642F))),
        }
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
        let mut left = self.draws.unit() * order.iter().map(weight).sum::<f64>();
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
        Sampler { temperature, top_k, draws: SplitMix64::new(7) }
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
