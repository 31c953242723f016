//! The n-grams that were learned, as a vocabulary: the number of each is a feature.

use super::{NgramShape, NgramUnit, hash};
use crate::text::tokenizer::{Counts, Coverage, Specials, Survey, Tokenizer, UnknownSymbol, VocabularyKind};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Texts cut into n-grams, of which the texts that hold them are counted.
pub(in crate::text) struct NgramSurvey(pub NgramShape);

impl Survey for NgramSurvey {
    fn coverage(&self) -> Coverage {
        Coverage::Frequent
    }

    fn num_tokens(&self, text: &str) -> usize {
        self.0.pieces(text)
    }

    /// All of them: no part of a text is cut off.
    fn num_characters(&self, text: &str, _tokens: usize) -> usize {
        text.chars().count()
    }

    /// An n-gram counts once in each text. Hashed ones are not counted by their letters.
    fn count(&self, text: &str, _most: usize, counts: &mut Counts) {
        if self.0.buckets > 0 {
            return;
        }
        let mut seen = HashSet::new();
        self.0.each(text, |ngram| {
            if seen.insert(hash(ngram)) {
                counts.add(ngram);
            }
        });
    }

    fn tokenizer(&self, specials: Specials, symbols: Vec<String>) -> Option<Arc<dyn Tokenizer>> {
        let ids: HashMap<String, u32> = symbols.iter().cloned().zip(0..).collect();
        let fits = match self.0.buckets {
            0 => ids.len() == symbols.len(),
            _ => symbols.is_empty(),
        };
        let tokenizer = NgramTokenizer { shape: self.0, specials, symbols, ids };
        fits.then(|| Arc::new(tokenizer) as Arc<dyn Tokenizer>)
    }
}

/// The features of a text whose n-grams are dealt out by their hash, each as often as it is there.
pub(in crate::text) fn hashed(shape: NgramShape, text: &str, mut take: impl FnMut(u32)) {
    let buckets = shape.buckets.max(1) as u64;
    shape.each(text, |ngram| take((hash(ngram) % buckets) as u32));
}

/// N-grams with their features.
#[derive(Debug)]
struct NgramTokenizer {
    shape: NgramShape,
    specials: Specials,
    symbols: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Tokenizer for NgramTokenizer {
    fn kind(&self) -> VocabularyKind {
        VocabularyKind::Ngrams
    }

    fn size(&self) -> usize {
        if self.shape.buckets > 0 { self.shape.buckets } else { self.symbols.len() }
    }

    fn specials(&self) -> Specials {
        self.specials
    }

    fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// The known n-grams; others are nothing. All of them, as a part would be another text.
    fn encode_into(&self, text: &str, _most: usize, ids: &mut Vec<u32>) -> Result<(), UnknownSymbol> {
        if self.shape.buckets > 0 {
            hashed(self.shape, text, |feature| ids.push(feature));
        } else {
            self.shape.each(text, |ngram| ids.extend(self.ids.get(ngram)));
        }
        Ok(())
    }

    /// The n-grams, with a blank between words and a mark between runs of characters.
    fn decode(&self, ids: &[u32]) -> String {
        let between = if self.shape.unit == NgramUnit::Word { ", " } else { "|" };
        let ngram = |&id: &u32| self.symbols.get(id as usize).map_or("\u{fffd}", String::as_str);
        ids.iter().map(ngram).collect::<Vec<&str>>().join(between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_are_features_and_unknown_ones_nothing() {
        let survey = NgramSurvey(NgramShape::default());
        let mut counts = Counts::default();
        for text in ["call now call", "now"] {
            survey.count(text, usize::MAX, &mut counts);
        }
        // `call` is twice in one text, and counts once.
        let symbols = counts.frequent(1, None);
        assert_eq!(symbols, ["now", "call", "call now", "now call"]);
        let tokenizer = survey.tokenizer(Specials::NONE, symbols).unwrap();
        let mut ids = Vec::new();
        tokenizer.encode_into("please call now now", 1, &mut ids).unwrap();
        assert_eq!(ids, [1, 0, 0, 2]);
        assert_eq!(tokenizer.decode(&[2, 9]), "call now, \u{fffd}");
        assert!(survey.tokenizer(Specials::NONE, vec!["a".into(), "a".into()]).is_none());
    }

    #[test]
    fn hashed_ngrams_have_a_feature_below_the_buckets() {
        let shape = NgramShape { buckets: 7, ..NgramShape::default() };
        let survey = NgramSurvey(shape);
        let tokenizer = survey.tokenizer(Specials::NONE, Vec::new()).unwrap();
        assert_eq!(
            (tokenizer.size(), survey.tokenizer(Specials::NONE, vec!["a".into()]).is_some()),
            (7, false)
        );
        let (mut ids, mut again) = (Vec::new(), Vec::new());
        tokenizer.encode_into("never seen before", 9, &mut ids).unwrap();
        tokenizer.encode_into("never seen before", 9, &mut again).unwrap();
        assert_eq!((ids.len(), &ids), (5, &again));
        assert!(ids.iter().all(|&id| id < 7));
    }
}
