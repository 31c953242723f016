//! Training on a terminal: a bar that moves, or plain lines where nobody watches.

use crate::{Event, Listener, LogRecord, Progress, Stopped, Summary, parameter_table};
use bonfire_contract::Metric;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Instant;

/// Writes to standard error: a bar with loss, metric, speed and time left on a terminal, one line a
/// report elsewhere.
pub struct Terminal {
    bar: Option<ProgressBar>,
    started: Instant,
    last: Option<Progress>,
    /// The figures of the last evaluation, kept beside the bar.
    valid: String,
}

impl Terminal {
    /// A bar where standard error is a terminal, lines where it is not.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "{bar:24} step {pos}/{len}  {msg}  left {eta}";
            let style = ProgressStyle::with_template(template).expect("the template is fixed");
            ProgressBar::new(0).with_style(style)
        });
        Terminal { bar, started: Instant::now(), last: None, valid: String::new() }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            // Above the bar, which is drawn again below.
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn rate(&self) -> f64 {
        let samples = self.last.map_or(0, |progress| progress.samples_here);
        samples as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    fn record(&mut self, record: &LogRecord) {
        let figures = figures(&record.metrics);
        if record.kind != "train" {
            self.valid = match record.metrics.get(1).or(record.metrics.first()) {
                Some(metric) => format!("  {} {}", metric.name, number(metric.value)),
                None => String::new(),
            };
            self.line(&format!(
                "{}  step {}  epoch {:.2}  {figures}",
                record.kind, record.step, record.epoch
            ));
        } else if self.bar.is_none() {
            let total = self.last.map_or(0, |progress| progress.total_steps);
            let rate =
                record.learning_rate.map_or(String::new(), |rate| format!("  learning_rate {rate:.3e}"));
            let speed = self.rate();
            let waited = self.last.map_or(0.0, |progress| 100.0 * progress.waited_share);
            let exchange = self.last.and_then(|progress| progress.exchange_share);
            let ranks = exchange.map_or(String::new(), |share| format!(", {}", for_ranks(share)));
            self.line(&format!(
                "train  step {}/{total}  epoch {:.2}  {figures}{rate}  {speed:.0} samples/s  {waited:.0} % \
                 waiting for data{ranks}",
                record.step, record.epoch,
            ));
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Listener for Terminal {
    fn on(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { parameters, total_steps, step, resumed } => {
                self.started = Instant::now();
                match resumed {
                    None => self.line(&parameter_table(parameters)),
                    Some(name) => self.line(&format!("continuing from {name}, step {step} of {total_steps}")),
                }
                if let Some(bar) = &self.bar {
                    bar.set_length(*total_steps);
                    bar.set_position(*step);
                    bar.reset_eta();
                }
            }
            Event::Costs(costs) => self.line(&costs.to_string()),
            Event::Pace(pace) => self.line(&pace.to_string()),
            Event::Step(progress) => {
                self.last = Some(**progress);
                if let Some(bar) = &self.bar {
                    bar.set_message(format!(
                        "loss {}{}  {:.0} samples/s",
                        number(progress.loss),
                        self.valid,
                        self.rate(),
                    ));
                    bar.set_position(progress.step);
                }
            }
            Event::Record(record) => self.record(record),
            Event::Saved { .. } => {}
            Event::Warning(text) => self.line(&format!("warning: {text}")),
            Event::Finished(summary) => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                self.line(&finished(summary));
            }
        }
    }
}

/// The summary in one line.
fn finished(summary: &Summary) -> String {
    let how = match summary.stopped {
        Stopped::Finished => "done".to_string(),
        Stopped::EarlyStopped => "stopped early".to_string(),
        Stopped::Interrupted(signal) => format!("interrupted by signal {signal}"),
    };
    let mut text = format!(
        "{how}: {} steps, {} samples in {:.1} s ({:.0} samples/s, {:.0} % waiting for data{})",
        summary.steps,
        summary.samples,
        summary.seconds,
        summary.samples_per_second,
        100.0 * summary.waited_share,
        summary.exchange_share.map_or(String::new(), |share| format!(", {}", for_ranks(share))),
    );
    if let Some(seconds) = summary.first_step_seconds {
        write!(text, ", first step after {seconds:.2} s").expect("strings take any text");
    }
    let mebibytes = summary.peak_memory_bytes as f64 / f64::from(1 << 20);
    // Three digits: whole MiB of a small program differ by 3 % where its peak differs by a page.
    let digits = usize::from(mebibytes < 99.95);
    write!(text, ", peak memory {mebibytes:.digits$} MiB").expect("strings take any text");
    if summary.skipped > 0 {
        write!(text, ", {} corrupt samples skipped", summary.skipped).expect("strings take any text");
    }
    if !summary.metrics.is_empty() {
        write!(text, "; {}", figures(&summary.metrics)).expect("strings take any text");
    }
    if !summary.test.is_empty() {
        write!(text, "; test {}", figures(&summary.test)).expect("strings take any text");
    }
    text
}

fn for_ranks(share: f64) -> String {
    format!("{:.0} % for other ranks", 100.0 * share)
}

fn figures(metrics: &[Metric]) -> String {
    let figures: Vec<_> = metrics.iter().map(|m| format!("{} {}", m.name, number(m.value))).collect();
    figures.join("  ")
}

/// Four digits after the point, or four significant ones of a very small or large number.
fn number(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && !(0.01..1e5).contains(&size) && size.is_finite() => format!("{value:.3e}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_states_figures_time_and_memory() {
        let summary = Summary {
            steps: 100,
            epochs: 2,
            samples: 6400,
            seconds: 12.34,
            samples_per_second: 518.6,
            first_step_seconds: Some(0.21),
            waited_share: 0.042,
            exchange_share: Some(0.2),
            peak_memory_bytes: 300 << 20,
            metrics: vec![Metric::lower("mse", 0.1234567), Metric::lower("mae", 0.00123456)],
            test: vec![Metric::higher("accuracy", 0.896)],
            stopped: Stopped::EarlyStopped,
            skipped: 3,
        };
        assert_eq!(
            finished(&summary),
            "stopped early: 100 steps, 6400 samples in 12.3 s (519 samples/s, 4 % waiting for data, 20 % for other \
             ranks), first step after 0.21 s, peak memory 300 MiB, 3 corrupt samples skipped; mse 0.1235  mae \
             1.235e-3; test accuracy 0.8960"
        );
    }
}
