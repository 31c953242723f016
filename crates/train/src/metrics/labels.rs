//! The figures of labels of which a sample may have several, each a question of its own.

use super::ranking::{auroc, average_precision};
use bonfire_contract::Metric;
use serde::{Deserialize, Serialize};

/// Above this many stored scores (256 MiB) the figures of ranking are left out.
const MOST_SCORES: usize = 1 << 25;

/// Running sums over samples of `K` labels.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Labels {
    pub(crate) labels: usize,
    samples: u64,
    nats: f64,
    /// Samples of which every label is right.
    exact: u64,
    /// Of each label: rightly said, wrongly said, wrongly not said.
    counts: Vec<[u64; 3]>,
    /// The logits, `[K]` a sample, and which of the labels it has; none once they are too many.
    scores: Vec<f64>,
    truths: Vec<bool>,
}

impl Labels {
    pub(crate) fn new(labels: usize) -> Self {
        Labels { labels, counts: vec![[0; 3]; labels], ..Labels::default() }
    }

    /// Takes in the logits of one sample, `[K]`, and 1 for each label that it has, 0 for the others.
    pub(crate) fn add(&mut self, row: &[f64], truth: &[f64]) {
        self.samples += 1;
        let mut exact = true;
        for ((&logit, &truth), counts) in row.iter().zip(truth).zip(&mut self.counts) {
            // -t log s(z) - (1 - t) log(1 - s(z)) = softplus(z) - t z
            self.nats += logit.max(0.0) + (-logit.abs()).exp().ln_1p() - truth * logit;
            let (said, has) = (logit > 0.0, truth > 0.5);
            exact &= said == has;
            match (said, has) {
                (true, true) => counts[0] += 1,
                (true, false) => counts[1] += 1,
                (false, true) => counts[2] += 1,
                (false, false) => {}
            }
        }
        self.exact += u64::from(exact);
        if self.scores_are_whole(self.samples - 1) && self.scores.len() + row.len() <= MOST_SCORES {
            self.scores.extend(row);
            self.truths.extend(truth.iter().map(|truth| *truth > 0.5));
        }
    }

    /// True where the scores of so many samples are kept.
    fn scores_are_whole(&self, samples: u64) -> bool {
        self.scores.len() as u64 == samples * self.labels as u64
    }

    /// Takes in the sums of other samples, of as many labels.
    pub(crate) fn merge(&mut self, other: Labels) {
        let whole = self.scores_are_whole(self.samples) && other.scores_are_whole(other.samples);
        if whole && self.scores.len() + other.scores.len() <= MOST_SCORES {
            self.scores.extend(other.scores);
            self.truths.extend(other.truths);
        }
        self.samples += other.samples;
        self.nats += other.nats;
        self.exact += other.exact;
        for (counts, more) in self.counts.iter_mut().zip(other.counts) {
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }

    /// The loss is the mean over samples and labels. Figures of ranking are means over the labels that some
    /// samples have, and others have not.
    pub(crate) fn figures(&self) -> Vec<Metric> {
        let samples = self.samples as f64;
        let mut metrics = vec![
            Metric::lower("loss", self.nats / samples / self.labels.max(1) as f64),
            Metric::higher("exact_match", self.exact as f64 / samples),
        ];
        metrics.extend(
            self.ranked(|scores, positive| auroc(scores, positive)).map(|area| Metric::higher("auroc", area)),
        );
        let precision = self.ranked(|scores, positive| average_precision(scores, positive));
        metrics.extend(precision.map(|mean| Metric::higher("mean_average_precision", mean)));
        let f1 = |[right, wrong, missed]: &[u64; 3]| {
            let all = 2 * right + wrong + missed;
            if all == 0 { 0.0 } else { 2.0 * *right as f64 / all as f64 }
        };
        let mean = self.counts.iter().map(f1).sum::<f64>() / self.labels.max(1) as f64;
        metrics.push(Metric::higher("f1", mean));
        metrics
    }

    /// The mean over labels of a figure of ranking, where it has one for any.
    fn ranked(&self, figure: impl Fn(&[f64], &dyn Fn(usize) -> bool) -> Option<f64>) -> Option<f64> {
        if !self.scores_are_whole(self.samples) {
            return None;
        }
        let of = |label: usize| {
            let scores: Vec<f64> = self.scores.iter().skip(label).step_by(self.labels).copied().collect();
            figure(&scores, &|sample| self.truths[sample * self.labels + label])
        };
        let found: Vec<f64> = (0..self.labels).filter_map(of).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [[f64; 3]; 5] =
        [[2.0, -1.0, 0.5], [-0.5, 0.25, 1.5], [1.0, 1.0, -2.0], [0.5, -3.0, 0.1], [-1.0, 0.75, -0.2]];
    const TRUTHS: [[f64; 3]; 5] =
        [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]];

    fn figures(sums: &Labels) -> Vec<(String, f64)> {
        sums.figures().into_iter().map(|metric| (metric.name, metric.value)).collect()
    }

    #[test]
    fn figures_are_scikit_learns() {
        let mut sums = Labels::new(3);
        LOGITS.iter().zip(&TRUTHS).for_each(|(row, truth)| sums.add(row, truth));
        // torch.nn.functional.binary_cross_entropy_with_logits; sklearn.metrics.accuracy_score, and of macro means
        // roc_auc_score, average_precision_score and f1_score of logits above 0.
        let expected = [
            ("loss", 0.4956320206469704),
            ("exact_match", 0.2),
            ("auroc", 0.8333333333333334),
            ("mean_average_precision", 0.9074074074074074),
            ("f1", 0.7111111111111111),
        ];
        for ((name, found), (known, value)) in figures(&sums).iter().zip(expected) {
            assert!(name == known && (found - value).abs() < 1e-9, "{name} {found}, {known} {value}");
        }
        // Cut into two, the sums are the same.
        let (mut one, mut two) = (Labels::new(3), Labels::new(3));
        LOGITS[..2].iter().zip(&TRUTHS[..2]).for_each(|(row, truth)| one.add(row, truth));
        LOGITS[2..].iter().zip(&TRUTHS[2..]).for_each(|(row, truth)| two.add(row, truth));
        one.merge(two);
        assert_eq!(figures(&one).len(), 5);
        for (a, b) in figures(&one).iter().zip(figures(&sums)) {
            assert!((a.1 - b.1).abs() < 1e-12);
        }
    }

    #[test]
    fn a_label_that_no_sample_has_has_no_figure_of_ranking() {
        let mut sums = Labels::new(2);
        sums.add(&[1.0, -1.0], &[1.0, 0.0]);
        sums.add(&[-1.0, -1.0], &[0.0, 0.0]);
        let found = figures(&sums);
        assert_eq!((found[1].1, found[2].1, found[3].1), (1.0, 1.0, 1.0));
    }
}
