//! The rows of a table in memory, divided into those that train and those that are held out.

use super::config::TableConfig;
use super::read::Frames;
use super::schema::TableSchema;
use super::survey::target_of_all;
use crate::fields::{Counting, DateOrder, TableTarget, Tally, label};
use crate::records::split::{EXPECTED_TIME, Samples, Time, TimeKind};
use crate::records::{Frame, canonical, nearest, shortened};
use crate::{DataError, Split, SplitBy};
use std::collections::HashMap;

/// Rows for training, validation and tests.
#[derive(Debug)]
pub(super) struct Divided {
    pub split: Split,
    /// The way that they were divided.
    pub by: SplitBy,
    /// Rows in no part, as they have no group or no time.
    pub skipped: u64,
}

/// Divides the rows of the training table: as the run with the schema `known` began, or as the recipe says.
///
/// # Errors
/// When a part that is asked for, or the training part, holds no row; when a row has no group or no time, and
/// is not to be skipped.
pub(super) fn divide(
    frames: &Frames,
    config: &TableConfig,
    known: Option<&TableSchema>,
    seed: u64,
) -> Result<Divided, DataError> {
    let mut target = None;
    let by = match known {
        Some(schema) => schema.split.clone(),
        None => config.held_out().split(|| {
            target = Some(target_of_all(frames, config)?);
            Ok(matches!(target, Some(TableTarget::Classes { .. })))
        })?,
    };
    let mut skipped = 0;
    let samples = match &by {
        SplitBy::Random => Samples::Alike(frames.len()),
        SplitBy::Stratified => match known.map(|schema| &schema.target).or(target.as_ref()) {
            Some(TableTarget::Classes { labels, .. }) => Samples::Classes(classes(frames, config, labels)),
            _ => Samples::Alike(frames.len()),
        },
        SplitBy::Groups(column) => Samples::Groups(groups(frames, config, column, &mut skipped)?),
        SplitBy::Time(column) => Samples::Times(times(frames, config, column, &mut skipped)?),
    };
    Ok(Divided { split: samples.divide(config.fractions(), seed)?, by, skipped })
}

/// The class of each row; those without a known label are one more.
fn classes(frames: &Frames, config: &TableConfig, labels: &[String]) -> Vec<u32> {
    let numbers: HashMap<&str, u32> = labels.iter().map(String::as_str).zip(0..).collect();
    let suffix = config.strip_label_suffix.as_deref();
    let mut all = Vec::with_capacity(frames.len());
    for frame in &frames.frames {
        let class = |cell: &str| numbers.get(&*label(cell, suffix)).copied();
        let mut add = |class: Option<Option<u32>>| all.push(class.flatten().unwrap_or(u32::MAX));
        match frame.position(&config.target) {
            Some(at) => frame.columns[at].each(&rows(frame), class, |_, class| add(class)),
            None => (0..frame.len()).for_each(|_| add(None)),
        }
    }
    all
}

/// The group of each row.
fn groups(
    frames: &Frames,
    config: &TableConfig,
    column: &str,
    skipped: &mut u64,
) -> Result<Vec<Option<u32>>, DataError> {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut all = Vec::with_capacity(frames.len());
    for frame in &frames.frames {
        let number = |cell: &str| {
            let next = numbers.len() as u32;
            *numbers.entry(canonical(cell).into_owned()).or_insert(next)
        };
        let at = position(frames, frame, "group_column", column)?;
        let first = all.len();
        frame.columns[at].each(&rows(frame), number, |_, group| all.push(group));
        for (row, _) in all[first..].iter().enumerate().filter(|(_, group)| group.is_none()) {
            config.on_corrupt.refuse(frame.cell_error(row, column, "a group", "no value"), skipped)?;
        }
    }
    Ok(all)
}

/// The time of each row: a number, a date of ISO 8601, or a date as the recipe's format or the other cells of the
/// column have it.
fn times(
    frames: &Frames,
    config: &TableConfig,
    column: &str,
    skipped: &mut u64,
) -> Result<Vec<Option<Time>>, DataError> {
    let order = order_of_times(frames, config, column)?;
    let read = |cell: &str| match &order {
        Some(order) => order.days(cell).and_then(Time::of_number),
        None => Time::parse(cell),
    };
    let expected = match &order {
        Some(order) => format!("a date, {order}, as most of the column"),
        None => format!("{EXPECTED_TIME}, or dates of one form (data.date_format)"),
    };
    let mut kind = TimeKind::default();
    let mut all = Vec::with_capacity(frames.len());
    for frame in &frames.frames {
        let at = position(frames, frame, "time_column", column)?;
        let cells = &frame.columns[at];
        let mut times: Vec<Option<Time>> = Vec::with_capacity(frame.len());
        cells.each(&rows(frame), read, |_, time| times.push(time.flatten()));
        for (row, time) in times.iter_mut().enumerate() {
            let cell = || cells.text(row).map_or("no value".into(), |cell| format!("`{}`", shortened(&cell)));
            if let Err(found) = kind.check(*time, cell) {
                *time = None;
                config.on_corrupt.refuse(frame.cell_error(row, column, &expected, found), skipped)?;
            }
        }
        all.append(&mut times);
    }
    Ok(all)
}

/// The order of the dates in the column of times; none where most of its cells are numbers or dates of ISO 8601, and
/// the recipe's format is not theirs.
fn order_of_times(
    frames: &Frames,
    config: &TableConfig,
    column: &str,
) -> Result<Option<DateOrder>, DataError> {
    let (mut tally, mut plain) = (Tally::default(), 0);
    let format = config.date_format_of(column);
    for frame in &frames.frames {
        let (at, rows) = (position(frames, frame, "time_column", column)?, rows(frame));
        let is_plain = |cell: &str| Time::parse(cell).is_some();
        frame.columns[at].each(&rows, is_plain, |_, is_plain| plain += u64::from(is_plain == Some(true)));
        tally.merge(Tally::of_input(frame, at, &rows, Counting::None, format));
    }
    tally.order_of_times(plain, format)
}

/// All rows of a frame.
fn rows(frame: &Frame) -> Vec<usize> {
    (0..frame.len()).collect()
}

/// The index of the column that a key names.
///
/// # Errors
/// When the frame has no such column.
fn position(frames: &Frames, frame: &Frame, key: &str, column: &str) -> Result<usize, DataError> {
    frame.position(column).ok_or_else(|| {
        let nearest = nearest(&frame.all_names(), column);
        DataError::config(key, format!("a column of {} ({nearest})", frames.uri), format!("`{column}`"))
    })
}

#[cfg(test)]
mod tests;
