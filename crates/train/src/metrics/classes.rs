//! The figures of classes, from sums over samples.

use super::calibration::Calibration;
use super::confusion::Confusion;
use super::ranking::auroc;
use bonfire_contract::{Metric, argmax};
use serde::{Deserialize, Serialize};

/// Above this many stored scores (256 MiB) a multi-class AUROC is left out.
const MOST_SCORES: usize = 1 << 25;

/// Running sums over samples of `K` classes.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Classes {
    nats: f64,
    in_top_k: u64,
    confusion: Confusion,
    pub(crate) classes: usize,
    labels: Vec<u32>,
    /// The log-odds of each class, `[K]` a sample (of class 1 alone where there are two), which
    /// rank as probabilities do without their rounding to 1.
    scores: Vec<f64>,
    pub(crate) calibration: Calibration,
}

/// The answer of a classifier on one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    /// The negative log-probability of the true class, nats.
    pub loss: f64,
    /// The class of the highest probability.
    pub predicted: usize,
    /// Its probability.
    pub probability: f64,
}

impl Classes {
    pub(crate) fn new(classes: usize) -> Self {
        Classes { confusion: Confusion::new(classes), classes, ..Classes::default() }
    }

    /// Takes in the logits of one sample, `[K]`, and its class, below `K`.
    pub(crate) fn add(&mut self, row: &[f64], class: usize, top_k: usize) -> Answer {
        let width = self.classes;
        let predicted = argmax(row);
        let highest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let total = highest + row.iter().map(|z| (z - highest).exp()).sum::<f64>().ln();
        let answer =
            Answer { loss: total - row[class], predicted, probability: (row[predicted] - total).exp() };
        self.nats += answer.loss;
        self.calibration.add(answer.probability, predicted == class);
        // Ties go to the lower class, here and in the arg-max.
        let rank = (0..width).filter(|&j| row[j] > row[class] || (row[j] == row[class] && j < class)).count();
        self.in_top_k += u64::from(rank < top_k);
        self.confusion.add(class, predicted);
        self.labels.push(class as u32);
        match width {
            2 => self.scores.push(row[1] - row[0]),
            _ if self.labels.len() * width <= MOST_SCORES => {
                self.scores.extend((0..width).map(|j| {
                    if j == predicted {
                        log_odds(row, j)
                    } else {
                        // The probability is at most 1/2, so that 1 minus it loses no digits.
                        row[j] - total - (-(row[j] - total).exp()).ln_1p()
                    }
                }))
            }
            _ => {}
        }
        answer
    }

    /// Takes in the sums of other samples, of as many classes.
    pub(crate) fn merge(&mut self, other: Classes) {
        self.nats += other.nats;
        self.in_top_k += other.in_top_k;
        self.confusion.merge(&other.confusion);
        // Once too many to be kept, the scores have a gap, and are not used.
        let few = self.classes == 2 || (self.scores.len() + other.scores.len()) <= MOST_SCORES;
        if few && self.scores_are_whole() && other.scores_are_whole() {
            self.scores.extend(other.scores);
        }
        self.labels.extend(other.labels);
        self.calibration.merge(&other.calibration);
    }

    /// Drops scores that would not be kept of so many samples.
    pub(crate) fn forget_scores_of_too_many(&mut self, samples: u64) {
        if self.classes != 2 && samples.saturating_mul(self.classes as u64) > MOST_SCORES as u64 {
            self.scores = Vec::new();
        }
    }

    /// True where the scores of every sample are kept.
    fn scores_are_whole(&self) -> bool {
        let each = if self.classes == 2 { 1 } else { self.classes };
        self.scores.len() == self.labels.len() * each
    }

    pub(crate) fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    pub(crate) fn figures(&self, top_k: usize) -> Vec<Metric> {
        let (k, total) = (self.classes, self.labels.len() as f64);
        let right: u64 = self
            .confusion
            .pairs()
            .filter(|(class, predicted, _)| class == predicted)
            .map(|pair| pair.2)
            .sum();
        let mut metrics =
            vec![Metric::lower("loss", self.nats / total), Metric::higher("accuracy", right as f64 / total)];
        if k > top_k && top_k > 1 {
            metrics.push(Metric::higher(format!("top_{top_k}_accuracy"), self.in_top_k as f64 / total));
        }
        metrics.extend(self.auroc().map(|area| Metric::higher("auroc", area)));
        metrics.push(Metric::higher("f1", self.f1()));
        metrics.push(Metric::lower("ece", self.calibration.error()));
        metrics
    }

    /// The area of class 1 where there are two classes, else the mean over classes of each against the rest.
    fn auroc(&self) -> Option<f64> {
        let (k, samples) = (self.classes, self.labels.len());
        match k {
            0 | 1 => None,
            2 => auroc(&self.scores, |i| self.labels[i] == 1),
            _ if self.scores.len() < samples * k => None,
            _ => {
                let areas: Vec<f64> = (0..k)
                    .filter_map(|class| {
                        let scores: Vec<f64> = self.scores.iter().skip(class).step_by(k).copied().collect();
                        auroc(&scores, |i| self.labels[i] as usize == class)
                    })
                    .collect();
                (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
            }
        }
    }

    /// The F1 of class 1 where there are two classes, else the mean over the classes that occur, true or
    /// predicted.
    fn f1(&self) -> f64 {
        let scores: Vec<Option<f64>> =
            ClassFigures::of(&self.confusion).into_iter().map(|class| class.f1).collect();
        match scores[..] {
            [_, positive] => positive.unwrap_or(0.0),
            _ => {
                let occurring: Vec<f64> = scores.into_iter().flatten().collect();
                occurring.iter().sum::<f64>() / occurring.len().max(1) as f64
            }
        }
    }
}

/// The figures of one class; none where there are no samples to divide by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassFigures {
    /// Samples of the class.
    pub samples: u64,
    /// The share of the samples predicted to be of the class that are.
    pub precision: Option<f64>,
    /// The share of the class's samples that were predicted to be of it.
    pub recall: Option<f64>,
    /// The harmonic mean of the two: `2 right / (samples + predicted)`.
    pub f1: Option<f64>,
}

impl ClassFigures {
    /// The figures of each class.
    pub(crate) fn of(confusion: &Confusion) -> Vec<Self> {
        // Samples of the class, those predicted to be of it, and those of both.
        let mut counts = vec![[0; 3]; confusion.classes()];
        for (class, predicted, count) in confusion.pairs() {
            counts[class][0] += count;
            counts[predicted][1] += count;
            counts[class][2] += if class == predicted { count } else { 0 };
        }
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let figures = |[samples, predicted, right]: [u64; 3]| ClassFigures {
            samples,
            precision: share(right, predicted),
            recall: share(right, samples),
            f1: share(2 * right, samples + predicted),
        };
        counts.into_iter().map(figures).collect()
    }
}

/// `ln(p / (1 - p))` of one class: its logit less the log-sum-exp of the others.
fn log_odds(row: &[f64], class: usize) -> f64 {
    let others = || row.iter().enumerate().filter(|(j, _)| *j != class).map(|(_, z)| *z);
    let highest = others().fold(f64::NEG_INFINITY, f64::max);
    row[class] - highest - others().map(|z| (z - highest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_of_each_class_by_hand() {
        // Class 2 never occurs and is never predicted; class 1 is predicted three times, twice rightly.
        let found = ClassFigures::of(&Confusion::of_rows(&[vec![3, 1, 0], vec![0, 2, 0], vec![0, 0, 0]]));
        let first =
            ClassFigures { samples: 4, precision: Some(1.0), recall: Some(0.75), f1: Some(6.0 / 7.0) };
        let second =
            ClassFigures { samples: 2, precision: Some(2.0 / 3.0), recall: Some(1.0), f1: Some(4.0 / 5.0) };
        let none = ClassFigures { samples: 0, precision: None, recall: None, f1: None };
        assert_eq!(found, [first, second, none]);
    }

    proptest! {
        #[test]
        fn scores_with_a_shared_total_are_log_odds(row in prop::collection::vec(-300f64..300.0, 3..9)) {
            let mut sums = Classes::new(row.len());
            sums.add(&row, 0, 1);
            for (class, score) in sums.scores.iter().enumerate() {
                let expected = log_odds(&row, class);
                prop_assert!((score - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{score} {expected}");
            }
        }
    }
}
