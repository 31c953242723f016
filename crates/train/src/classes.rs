//! The figures of classes: sums over samples, then what they come to.

use crate::ranking::auroc;
use bonfire_contract::Metric;

/// Above this many stored scores (256 MiB) a multi-class AUROC is left out.
const MOST_SCORES: usize = 1 << 25;

/// Running sums over samples of `K` classes.
#[derive(Default)]
pub(crate) struct Classes {
    nats: f64,
    in_top_k: u64,
    /// Row by row, `[K, K]`.
    confusion: Vec<u64>,
    pub(crate) classes: usize,
    labels: Vec<u32>,
    /// The log-odds of each class, `[K]` a sample (of class 1 alone where there are two), which
    /// rank as probabilities do without their rounding to 1.
    scores: Vec<f64>,
}

impl Classes {
    pub(crate) fn new(classes: usize) -> Self {
        Classes { confusion: vec![0; classes * classes], classes, ..Classes::default() }
    }

    /// Takes in the logits of one sample, `[K]`, and its class, below `K`.
    pub(crate) fn add(&mut self, row: &[f64], class: usize, top_k: usize) {
        let width = self.classes;
        let predicted = (1..width).fold(0, |best, j| if row[j] > row[best] { j } else { best });
        let highest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let total = highest + row.iter().map(|z| (z - highest).exp()).sum::<f64>().ln();
        self.nats += total - row[class];
        // Ties go to the lower class, here and in the arg-max.
        let rank = (0..width).filter(|&j| row[j] > row[class] || (row[j] == row[class] && j < class)).count();
        self.in_top_k += u64::from(rank < top_k);
        self.confusion[class * width + predicted] += 1;
        self.labels.push(class as u32);
        match width {
            2 => self.scores.push(row[1] - row[0]),
            _ if self.labels.len() * width <= MOST_SCORES => {
                self.scores.extend((0..width).map(|j| match j == predicted {
                    true => log_odds(row, j),
                    // At most 1/2, so 1 less it loses no digits, and the total serves every class.
                    false => row[j] - total - (-(row[j] - total).exp()).ln_1p(),
                }))
            }
            _ => {}
        }
    }

    /// Row the true class, column the predicted one.
    pub(crate) fn confusion(&self) -> Vec<Vec<u64>> {
        self.confusion.chunks(self.classes.max(1)).map(<[u64]>::to_vec).collect()
    }

    pub(crate) fn figures(&self, top_k: usize) -> Vec<Metric> {
        let (k, total) = (self.classes, self.labels.len() as f64);
        let right: u64 = (0..k).map(|i| self.confusion[i * k + i]).sum();
        let mut metrics =
            vec![Metric::lower("loss", self.nats / total), Metric::higher("accuracy", right as f64 / total)];
        if k > top_k && top_k > 1 {
            metrics.push(Metric::higher(format!("top_{top_k}_accuracy"), self.in_top_k as f64 / total));
        }
        metrics.extend(self.auroc().map(|area| Metric::higher("auroc", area)));
        metrics.push(Metric::higher("f1", self.f1()));
        metrics
    }

    /// Of class 1 where there are two; else the mean over classes of each against the rest.
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

    /// Of class 1 where there are two; else the mean over the classes that occur, true or predicted.
    fn f1(&self) -> f64 {
        let k = self.classes;
        let of = |class: usize| {
            let right = self.confusion[class * k + class];
            let truly: u64 = self.confusion[class * k..(class + 1) * k].iter().sum();
            let predicted: u64 = (0..k).map(|row| self.confusion[row * k + class]).sum();
            (truly + predicted > 0).then(|| 2.0 * right as f64 / (truly + predicted) as f64)
        };
        match k {
            2 => of(1).unwrap_or(0.0),
            _ => {
                let scores: Vec<f64> = (0..k).filter_map(of).collect();
                scores.iter().sum::<f64>() / scores.len().max(1) as f64
            }
        }
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
