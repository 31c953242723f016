//! The schema of a table, out of its training rows: which columns are numbers, and the statistics of each.
//!
//! A table in memory is surveyed as a whole. One that is too large is surveyed block by block, in memory that
//! does not grow with it; categories are counted exactly, up to 65,536 different ones a column, and a column
//! of text with more is an error, as it is no category.

use super::config::TableConfig;
use super::encode::Encoder;
use super::missing::told;
use super::read::{Frames, RowsOfFrames};
use super::schema::{TableSchema, check_names};
use crate::fields::{Counting, Labels, Learned, Pairing, Says, TableTarget, Tally, Wishes, label};
use crate::records::{Cells, Frame, Use, add_names};
use crate::{DataError, OnCorrupt, pool};
use std::collections::{HashMap, HashSet};

/// Some rows of a table, column by column.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Training rows.
    rows: u64,
    names: Vec<String>,
    tallies: Vec<Tally>,
    ignored: Vec<String>,
    /// Every label, of rows held out, too.
    labels: Labels,
}

/// Types and statistics of a table in memory from its training rows, and the labels from all of its rows.
/// Training rows that cannot be read leave `rows`. The columns of a run that began with `known` ones hold what
/// they held, whatever they look like.
///
/// # Errors
/// When a column that the recipe names is not there, a cell is not of its column's type, a column has no
/// value or the target only one class.
pub(super) fn infer(
    frames: &Frames,
    rows: &mut RowsOfFrames,
    config: &TableConfig,
    known: Option<&TableSchema>,
) -> Result<TableSchema, DataError> {
    // A row that cannot be read is an error, or left out, by its line: after the types are known, and before
    // they count.
    let lenient = TableConfig { on_corrupt: OnCorrupt::Skip, ..config.clone() };
    let first = survey(frames, rows, &lenient)?.schema(&frames.uri, &lenient, known)?;
    let skipped = keep_readable(frames, rows, &first, config)?;
    if skipped == 0 {
        return Ok(first);
    }
    let mut schema = survey(frames, rows, &lenient)?.schema(&frames.uri, &lenient, Some(&first))?;
    // What made the columns what they are is what made them so at first.
    for (column, before) in schema.columns.iter_mut().zip(&first.columns) {
        if let (Some(facts), Some(before)) = (&mut column.facts, &before.facts) {
            facts.why = before.why;
        }
    }
    Ok(TableSchema { skipped, notes: first.notes, ..schema })
}

/// Surveys the frames, several at a time.
fn survey(frames: &Frames, rows: &RowsOfFrames, config: &TableConfig) -> Result<Survey, DataError> {
    // A column that is numbers or dates in every frame is no column of categories; what they are need not be counted.
    let columns = || frames.frames.iter().flat_map(|frame| frame.names.iter().zip(&frame.columns));
    let texts = columns().filter(|(_, cells)| !matches!(cells, Cells::Numbers(_) | Cells::Dates(_)));
    let texts: HashSet<&str> = texts.map(|(name, _)| name.as_str()).collect();
    let may_be_categories = |name: &str, _: &Cells| texts.contains(name);
    let mut all = Survey::default();
    pool::in_order(
        pool::processors(),
        frames.frames.iter().zip(rows),
        |(frame, rows)| Ok(Survey::of(frame, rows, config, &may_be_categories)),
        |survey| {
            all.merge(survey);
            Ok::<(), DataError>(())
        },
    )?;
    Ok(all)
}

/// Takes the rows out of `rows` that cannot be encoded, and counts them.
///
/// # Errors
/// The first such row's, unless the recipe skips them; when no row is left.
fn keep_readable(
    frames: &Frames,
    rows: &mut RowsOfFrames,
    schema: &TableSchema,
    config: &TableConfig,
) -> Result<u64, DataError> {
    let encoder = Encoder::new(schema, config, true);
    let (mut kept, mut skipped) = (Vec::with_capacity(rows.len()), 0);
    pool::in_order(
        pool::processors(),
        frames.frames.iter().zip(&*rows),
        |(frame, rows)| encoder.keep_readable(frame, rows),
        |(readable, left_out)| {
            kept.push(readable);
            skipped += left_out;
            Ok(())
        },
    )?;
    if kept.iter().all(Vec::is_empty) {
        return Err(DataError::source(&frames.uri, "at least one row that can be read", "none"));
    }
    *rows = kept;
    Ok(skipped)
}

impl Survey {
    /// Surveys the training `rows` of a frame; of the others, only their labels count. The different cells of a
    /// column are counted where they `may_be_categories`, or the recipe calls them so.
    pub(super) fn of(
        frame: &Frame,
        rows: &[usize],
        config: &TableConfig,
        may_be_categories: &dyn Fn(&str, &Cells) -> bool,
    ) -> Self {
        let target = frame.position(&config.target).map(|at| &frame.columns[at]);
        let labels = labels_of(frame, rows, config);
        let tally = |index: usize| {
            let (name, cells) = (&frame.names[index], &frame.columns[index]);
            if !config.may_be_input(name) {
                return Tally::lacking(rows.len() as u64);
            }
            if *name == config.target {
                return Tally::of_target(frame, index, rows);
            }
            let counting = if config.categorical.contains(name) {
                Counting::Spellings
            } else if !config.numeric.contains(name) && may_be_categories(name, cells) {
                Counting::Values
            } else {
                Counting::None
            };
            // Numbers are dates only where the recipe says so.
            let is_number = matches!(cells, Cells::Numbers(_)) && !config.dates.contains(name);
            let date_format = config.date_format_of(name).filter(|_| !is_number);
            let mut tally = Tally::of_input(frame, index, rows, counting, date_format);
            if let Some(target) = target {
                tally.pairing = Pairing::of(cells, target, rows);
            }
            tally
        };
        let tallies = (0..frame.names.len()).map(tally).collect();
        let (names, ignored) = (frame.names.clone(), frame.ignored.clone());
        Survey { rows: rows.len() as u64, names, tallies, ignored, labels }
    }

    /// Refuses a column of text that is different everywhere: no memory would be enough to count it.
    ///
    /// # Errors
    /// When a column of text has too many categories.
    pub(super) fn check_categories(&mut self, uri: &str) -> Result<(), DataError> {
        let mut columns = self.names.iter().zip(&mut self.tallies);
        columns.try_for_each(|(name, tally)| tally.check_categories(uri, name))
    }

    /// Adds the rows that come next. A column that one of the two lacks has no values there.
    pub(super) fn merge(&mut self, other: Survey) {
        if self.names.is_empty() {
            *self = other;
            return;
        }
        if self.names == other.names {
            self.tallies.iter_mut().zip(other.tallies).for_each(|(tally, more)| tally.merge(more));
        } else {
            self.merge_by_name(other.rows, other.names, other.tallies);
        }
        self.rows += other.rows;
        add_names(&mut self.ignored, other.ignored);
        self.labels.merge(other.labels);
    }

    /// Adds tallies of `rows` rows whose columns are others, or in another order.
    fn merge_by_name(&mut self, rows: u64, names: Vec<String>, tallies: Vec<Tally>) {
        let mut tallies: HashMap<String, Tally> = names.into_iter().zip(tallies).collect();
        for (name, tally) in self.names.iter().zip(&mut self.tallies) {
            match tallies.remove(name) {
                Some(more) => tally.merge(more),
                None => tally.merge(Tally::lacking(rows)),
            }
        }
        for (name, tally) in tallies {
            let at = self.names.partition_point(|before| *before < name);
            let mut all = Tally::lacking(self.rows);
            all.merge(tally);
            self.names.insert(at, name);
            self.tallies.insert(at, all);
        }
    }

    /// Types and statistics, and the labels of the target. Columns of a run that began with `known` ones hold what
    /// they held.
    ///
    /// # Errors
    /// When a column that the recipe names is not there or has no value, a cell is not of its column's type, or
    /// the target has only one class.
    pub(super) fn schema(
        mut self,
        uri: &str,
        config: &TableConfig,
        known: Option<&TableSchema>,
    ) -> Result<TableSchema, DataError> {
        let at = check_names(uri, &self.names, &self.ignored, config)?;
        // What the recipe does not ignore was left out by its type.
        let of_no_type = self.ignored.iter().filter(|name| config.column(name) != Use::Nothing).cloned();
        let of_no_type: Vec<String> = of_no_type.collect();
        let (name, tally) = (self.names.remove(at), self.tallies.remove(at));
        let (mut columns, mut notes, mut left_out, mut pairings) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, mut tally) in self.names.into_iter().zip(self.tallies) {
            if !config.may_be_input(&name) {
                continue;
            }
            let pairing = std::mem::take(&mut tally.pairing);
            match tally.column(uri, name.clone(), &config.wishes(&name, known))? {
                Learned::Column(column, more) => {
                    columns.push(*column);
                    notes.extend(more);
                    pairings.push(pairing);
                }
                Learned::Empty => left_out.push(name),
            }
        }
        if columns.is_empty() {
            return Err(DataError::source(uri, "at least one input column", "the target alone"));
        }
        let (wishes, is_constant) = (config.wishes(&config.target, known), tally.is_one_number());
        let (target, class_rows) = tally.target(uri, name, self.labels, &wishes).map_err(told)?;
        let values = matches!(target, TableTarget::Value { .. });
        if values && is_constant {
            notes.push(format!("the target `{}` is the same in every training row", target.name()));
        }
        notes.extend(columns.iter().zip(&pairings).filter_map(|(column, pairing)| {
            let says = match pairing.says(values)? {
                Says::Same => "has the value of the target in every training row",
                Says::OneToOne => {
                    "has one value for each of the target's, and tells it in every training row"
                }
            };
            Some(format!(
                "`{}` {says}: where it is not known beforehand, name it in data.ignore",
                column.name
            ))
        }));
        left_out.extend(of_no_type);
        let schema = TableSchema::new(self.rows, columns, target, config);
        Ok(TableSchema { class_rows, left_out, notes, ..schema })
    }
}

/// The target by all rows of a table, those to be held out among them.
///
/// # Errors
/// When there is no such column, it has too many classes, or one alone.
pub(super) fn target_of_all(frames: &Frames, config: &TableConfig) -> Result<TableTarget, DataError> {
    let (mut tally, mut labels) = (Tally::default(), Labels::default());
    for frame in &frames.frames {
        let Some(index) = frame.position(&config.target) else {
            return Err(check_names(&frames.uri, &frame.names, &frame.ignored, config)
                .err()
                .unwrap_or_else(|| DataError::source(&frame.uri, "the target's column", "none")));
        };
        labels.merge(labels_of(frame, &[], config));
        tally.merge(Tally::of_target(frame, index, &(0..frame.len()).collect::<Vec<_>>()));
    }
    // What cannot be read is for the survey of the training rows to tell, or to skip.
    let wishes = Wishes { on_corrupt: OnCorrupt::Skip, ..config.wishes(&config.target, None) };
    let (target, _) = tally.target(&frames.uri, config.target.clone(), labels, &wishes).map_err(told)?;
    Ok(target)
}

/// The labels of all rows of a frame, and the training rows of each.
fn labels_of(frame: &Frame, training: &[usize], config: &TableConfig) -> Labels {
    let target = frame.position(&config.target).map(|at| &frame.columns[at]);
    let suffix = config.strip_label_suffix.as_deref();
    let spell = |cell: &str| label(cell, suffix).into_owned();
    target.map(|cells| Labels::of(cells, training, spell)).unwrap_or_default()
}
