//! The training cells of a column, once all are counted, as a column of a schema or as the target; and what a
//! person should know of the choice.

use super::date::names::{DAY_FIRST, MONTH_FIRST, ORDERS};
use super::label::TableTarget;
use super::labels::Labels;
use super::tally::{MOST_CATEGORIES, Tally, are_most};
use super::wishes::{Stated, Wishes};
use super::{Category, Column, Date, DateOrder, Encoding, Facts, Number, Why};
use crate::records::{shortened, sort_labels};
use crate::{DataError, OnCorrupt, bounds};

/// Different whole numbers of a target column that is a class.
const MOST_CLASSES: u64 = 20;

/// Values from which on a column is looked at as a whole.
const FEWEST_VALUES: u64 = 20;

/// A column that was learned, and what a person should know of it.
#[derive(Debug)]
pub(crate) enum Learned {
    /// An input.
    Column(Box<Column>, Vec<String>),
    /// A column without a value in the training rows.
    Empty,
}

impl Tally {
    /// An input column.
    pub(crate) fn column(self, uri: &str, name: String, wishes: &Wishes<'_>) -> Result<Learned, DataError> {
        let stated = wishes.stated();
        if self.values == 0 {
            return match stated {
                None => Ok(Learned::Empty),
                Some(_) => Err(no_value(uri, &name)),
            };
        }
        let why = if stated.is_some() { Why::Recipe } else { Why::Cells };
        let kind = match stated {
            Some(kind) => kind,
            None if self.reads_as_numbers() => Stated::Numbers,
            None => match self.grouped() {
                Some(error) => return Err(error),
                None if self.read_as_dates(wishes.date_format).is_some() => Stated::Dates(None),
                None => Stated::Categories,
            },
        };
        let mut notes = Vec::new();
        let absent = if matches!(kind, Stated::Dates(_)) { self.dates.absent } else { 0 };
        let missing = self.missing + absent;
        let (encoding, facts) = match kind {
            Stated::Numbers => {
                let facts = Facts::of(why, &self.numbers);
                if stated.is_none() {
                    notes.extend(self.number_notes(&name));
                }
                let (mean, std) = self.statistics(uri, &name, wishes.on_corrupt)?;
                (Encoding::Numeric(Number { mean, std, indicator: missing > 0 }), facts)
            }
            Stated::Dates(order) => self.dates(uri, &name, order, why, wishes)?,
            Stated::Categories => {
                if stated.is_none() {
                    notes.extend(self.category_notes(&name));
                }
                let Some(counts) = self.categories else {
                    let expected = "a column of one type (its name in data.numeric or data.categorical)";
                    let found = "more different numbers than categories may be, and then text";
                    return Err(DataError::malformed(uri, format!("column `{name}`"), expected, found));
                };
                let commonest = counts.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
                let commonest = commonest.map(|(text, count)| (shortened(text), *count));
                let distinct = Some(counts.len() as u64).filter(|&count| count <= MOST_CATEGORIES as u64);
                let facts = Facts { why, distinct, range: None, commonest };
                let category = Category::most_frequent(counts, wishes.max_categories);
                (Encoding::Categorical(category), facts)
            }
        };
        if facts.distinct == Some(1) && missing == 0 {
            notes.push(format!("`{name}` is the same in every training row: it says nothing"));
        }
        let column = Column { name, missing, encoding, facts: Some(facts) };
        Ok(Learned::Column(Box::new(column), notes))
    }

    /// A column of dates.
    fn dates(
        self,
        uri: &str,
        name: &str,
        order: Option<&DateOrder>,
        why: Why,
        wishes: &Wishes<'_>,
    ) -> Result<(Encoding, Facts), DataError> {
        let stop = wishes.on_corrupt == OnCorrupt::Stop;
        let is_known = order.is_some();
        let order = order.cloned().or_else(|| self.read_as_dates(wishes.date_format));
        let Some(order) = order else {
            let other = self.dates.none.or(self.dates.others.into_iter().flatten().next());
            let expected = "dates of one order, or as data.date_format says";
            let place = format!("column `{name}`");
            return Err(other.unwrap_or_else(|| DataError::malformed(uri, place, expected, "others")));
        };
        let mut dates = self.dates;
        let at = match &order {
            // A format knows days, and no order.
            _ if dates.typed && dates.orders[0].count > 0 => 0,
            DateOrder::Format(_) => ORDERS.len(),
            order => ORDERS.iter().position(|other| other == order).unwrap_or(ORDERS.len()),
        };
        if !is_known && let Some(error) = dates.ambiguous(&order) {
            return Err(error);
        }
        if stop && let Some(error) = dates.others[at].take().or(dates.none) {
            return Err(error);
        }
        let spread = std::mem::take(&mut dates.orders[at]);
        let facts = Facts::of_dates(why, &spread);
        let (mean, std) = spread.moments.mean_and_std();
        let (indicator, parts) = (self.missing + dates.absent > 0, wishes.date_parts.to_vec());
        Ok((Encoding::Date(Date { order, mean, std, indicator, parts }), facts))
    }

    /// The order of the dates that the column's rows are put in order by; none where they are to be compared as they
    /// stand, of which `plain` can be.
    ///
    /// # Errors
    /// When they may be dates of two orders.
    pub(crate) fn order_of_times(
        &self,
        plain: u64,
        format: Option<&str>,
    ) -> Result<Option<DateOrder>, DataError> {
        let order = self.read_as_dates(format);
        let is_plain = are_most(plain, self.values - self.dates.absent);
        let order = order.filter(|order| matches!(order, DateOrder::Format(_)) || !is_plain);
        match order.as_ref().and_then(|order| self.dates.ambiguous(order)) {
            Some(error) => Err(error),
            None => Ok(order),
        }
    }

    /// The order that at least three in four values are dates of: the recipe's format before all others, and the
    /// one with the most.
    fn read_as_dates(&self, format: Option<&str>) -> Option<DateOrder> {
        let (orders, values) = (&self.dates.orders, self.values - self.dates.absent);
        if let Some(format) = format
            && are_most(orders[ORDERS.len()].count, values)
        {
            return Some(DateOrder::Format(format.to_string()));
        }
        if self.dates.typed && orders[0].count > 0 && orders[0].low >= 0.0 && orders[0].high < 1.0 {
            return Some(DateOrder::Time);
        }
        if are_most(self.dates.of_two_orders(), values) {
            let day_first = orders[DAY_FIRST].count >= orders[MONTH_FIRST].count;
            return Some(ORDERS[if day_first { DAY_FIRST } else { MONTH_FIRST }].clone());
        }
        let most = (0..ORDERS.len()).rev().max_by_key(|&order| orders[order].count)?;
        are_most(orders[most].count, values).then(|| ORDERS[most].clone())
    }

    /// Mean and deviation of numbers; a cell that is none stops here, unless it is to be skipped.
    fn statistics(self, uri: &str, name: &str, on_corrupt: OnCorrupt) -> Result<(f64, f64), DataError> {
        if on_corrupt == OnCorrupt::Stop {
            let error = if self.looks.grouped > 0 { self.looks.first_grouped } else { self.not_a_number };
            if let Some(error) = error.or(self.not_finite) {
                return Err(error);
            }
        }
        let (mean, std) = self.numbers.moments.mean_and_std();
        if mean.is_finite() && std.is_finite() {
            return Ok((mean, std));
        }
        let found = format!("mean {mean}, standard deviation {std}");
        let place = format!("column `{name}`");
        Err(DataError::malformed(uri, place, "numbers of a finite mean and spread", found))
    }

    /// What a person should know of a column that reads as numbers: it may hold dates, or count the rows.
    fn number_notes(&self, name: &str) -> Option<String> {
        const NAMES: [&str; 6] = ["", "unnamed: 0", "column 0", "id", "index", "row"];
        let numbers = &self.numbers;
        if self.days_of_digits == self.values {
            return Some(format!(
                "`{name}` reads as numbers, each of which is a day in digits (`{}`): if they are dates, name it in \
                 data.dates",
                numbers.low
            ));
        }
        if self.missing > 0 || numbers.count < FEWEST_VALUES || !numbers.rises() {
            return None;
        }
        let rows = numbers.count as f64;
        // Rows that are held out leave gaps.
        let counts =
            (0.0..=1.0 + rows / 8.0).contains(&numbers.low) && numbers.high - numbers.low < 4.0 * rows;
        (counts || NAMES.contains(&name.to_lowercase().as_str())).then(|| {
            format!(
                "`{name}` rises from row to row as the number of a row does: if it is one, name it in \
                 data.ignore"
            )
        })
    }

    /// What a person should know of a column that reads as categories: what else it may be.
    fn category_notes(&self, name: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let distinct = self.categories.as_ref().map_or(u64::MAX, |counts| counts.len() as u64);
        let example = |example: &Option<String>| example.clone().unwrap_or_default();
        if are_most(self.looks.units + self.number_cells, self.values) {
            let unit = example(&self.looks.unit);
            notes.push(format!(
                "`{name}` holds numbers with a unit (`{unit}`) and is taken as {distinct} categories: \
                 without the unit they would be numbers"
            ));
        } else if are_most(self.looks.short_years, self.values) {
            let date = example(&self.looks.short_year);
            notes.push(format!(
                "`{name}` holds dates with a year of two digits (`{date}`) and is taken as {distinct} \
                 categories: data.date_format says how they are to be read"
            ));
        } else if are_most(self.looks.durations, self.values) {
            let duration = example(&self.looks.duration);
            notes.push(format!(
                "`{name}` holds durations (`{duration}`) and is taken as {distinct} categories: in seconds they would \
                 be numbers"
            ));
        } else if 4 * self.number_cells >= self.values && self.number_cells > 0 {
            let others = self.commonest_others();
            notes.push(format!(
                "`{name}` is taken as {distinct} categories, though {} of its {} values are numbers; the \
                 commonest others are {others}: name it in data.numeric and the marks in data.missing, or name it \
                 in data.categorical",
                self.number_cells, self.values
            ));
        } else if self.dates.orders.iter().map(|of| of.count).sum::<u64>() * 4 >= self.values {
            notes.push(format!(
                "`{name}` is taken as {distinct} categories, though many of its values are dates: name it in \
                 data.dates, with data.date_format, or in data.categorical"
            ));
        }
        if self.values >= FEWEST_VALUES && distinct.saturating_mul(10) >= 9 * self.values {
            notes.push(format!(
                "`{name}` has {distinct} categories in {} values: an identifier, or a text, says nothing of new \
                 rows; data.ignore leaves it out",
                self.values
            ));
        }
        notes
    }

    /// The commonest cells that are no numbers.
    fn commonest_others(&self) -> String {
        const MOST: usize = 3;
        let mut others: Vec<(&String, &u64)> = self.categories.iter().flatten().collect();
        others.retain(|(text, _)| text.parse::<f64>().is_err());
        others.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let word = |(text, count): &(&String, &u64)| format!("`{}` ({count})", shortened(text));
        others.iter().take(MOST).map(word).collect::<Vec<_>>().join(", ")
    }

    /// The column to predict, and the training rows of each of its classes: a value where its numbers are not
    /// whole or more than 20 differ, unless the recipe says which.
    pub(crate) fn target(
        self,
        uri: &str,
        name: String,
        labels: Labels,
        wishes: &Wishes<'_>,
    ) -> Result<(TableTarget, Vec<u64>), DataError> {
        if wishes.on_corrupt == OnCorrupt::Stop
            && let Some(error) = self.absent
        {
            return Err(error);
        }
        let numbers = &self.numbers;
        let is_value = match wishes.stated() {
            Some(kind) => kind == Stated::Numbers,
            None if self.reads_as_numbers() => {
                let is_many = numbers.different().is_none_or(|different| different > MOST_CLASSES);
                !numbers.whole || is_many || self.not_finite.is_some()
            }
            None if !wishes.spelled => false,
            None => {
                if let Some(error) = self.grouped() {
                    return Err(error);
                }
                let many = labels.number().is_none_or(|labels| labels > MOST_CLASSES as usize);
                if many && are_most(self.looks.units + self.number_cells, self.values) {
                    let expected = "classes or plain numbers to predict (data.target_kind = \"class\" makes each \
                                    spelling a class)";
                    let found = format!("`{}`", self.looks.unit.unwrap_or_default());
                    return Err(DataError::malformed(uri, format!("column `{name}`"), expected, found));
                }
                if self.read_as_dates(None).is_some() {
                    let expected =
                        "classes or numbers to predict (data.target_kind = \"class\" makes each date one)";
                    return Err(DataError::malformed(uri, format!("column `{name}`"), expected, "dates"));
                }
                false
            }
        };
        if is_value {
            let (mean, std) = self.statistics(uri, &name, wishes.on_corrupt)?;
            return Ok((TableTarget::Value { name, mean, std }, Vec::new()));
        }
        let Some(counts) = labels.counts() else {
            return Err(bounds::classes(uri, &name, usize::MAX)
                .err()
                .unwrap_or_else(|| no_value(uri, &name)));
        };
        let mut labels: Vec<String> = counts.keys().cloned().collect();
        sort_labels(&mut labels);
        if labels.len() < 2 {
            let found = labels.first().map_or("none".to_string(), |label| format!("only `{label}`"));
            let place = format!("column `{name}`");
            return Err(DataError::malformed(uri, place, "at least two classes", found));
        }
        let rows = labels.iter().map(|label| counts.get(label).copied().unwrap_or(0)).collect();
        Ok((TableTarget::Classes { name, labels }, rows))
    }
}

/// The error of a column without a value.
fn no_value(uri: &str, name: &str) -> DataError {
    let expected = "a value in some training row (or the column in data.ignore)";
    DataError::malformed(uri, format!("column `{name}`"), expected, "none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Kind;
    use crate::fields::tally::Counting;
    use crate::records::{Cells, Frame, TextCells};

    fn wishes(kind: Option<Kind<'static>>) -> Wishes<'static> {
        Wishes { kind, spelled: true, ..Wishes::none(9, OnCorrupt::Stop) }
    }

    fn labels(cells: &[&str]) -> Labels {
        let mut text = TextCells::default();
        cells.iter().for_each(|cell| text.push(Some(cell)));
        Labels::of(&Cells::Text(text), &[], str::to_string)
    }

    /// The column of these cells, and what is to be known of it.
    fn learned(cells: &[&str]) -> Result<(Column, Vec<String>), String> {
        match tally(cells, false).column("t", "x".to_string(), &wishes(None)) {
            Ok(Learned::Column(column, notes)) => Ok((*column, notes)),
            Ok(Learned::Empty) => panic!("no value"),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The tally of a column of these cells, as an input or as the target.
    fn tally(cells: &[&str], is_target: bool) -> Tally {
        let mut column = TextCells::default();
        cells.iter().for_each(|&cell| column.push((!cell.is_empty()).then_some(cell)));
        let lines = (1..=cells.len() as u64).collect();
        let frame = Frame::new("t.csv", vec!["x".to_string()], vec![Cells::Text(column)], lines, "line");
        let rows: Vec<usize> = (0..cells.len()).collect();
        match is_target {
            true => Tally::of_target(&frame, 0, &rows),
            false => Tally::of_input(&frame, 0, &rows, Counting::Values, None),
        }
    }

    #[test]
    fn a_stray_cell_does_not_turn_numbers_into_categories() {
        let check = |cells: &[&str]| tally(cells, false).reads_as_numbers();
        assert!(check(&["1", "2.5", "-3e4", "oops"]));
        assert!(check(&["", "1"]));
        assert!(!check(&["1", "x"]));
        assert!(!check(&["", ""]));
    }

    #[test]
    fn values_are_fractions_or_many_numbers() {
        let check = |cells: &[&str]| {
            let labels = labels(cells);
            let target = tally(cells, true).target("t", "x".to_string(), labels, &wishes(None));
            matches!(target.unwrap().0, TableTarget::Value { .. })
        };
        assert!(check(&["1", "2.5"]));
        assert!(!check(&["0", "1", "1", "0"]));
        assert!(!check(&["yes", "no"]));
        let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(check(&many) && !check(&many[..20]));
    }

    #[test]
    fn a_column_of_dates_is_told_by_its_cells() {
        let order = |cells: &[&str]| match learned(cells).unwrap().0.encoding {
            Encoding::Date(date) => date.order,
            other => panic!("{other:?}"),
        };
        assert_eq!(order(&["2024-01-02", "", "2024-12-31T10:00:00Z"]), DateOrder::YearFirst);
        assert_eq!(order(&["01/02/2024", "13/02/2024"]), DateOrder::DayFirst);
        assert_eq!(order(&["01/02/2024", "02/13/2024"]), DateOrder::MonthFirst);
        assert_eq!(order(&["01.02.2024", "03.04.2024"]), DateOrder::DayFirst);
        assert_eq!(order(&["Jan 2, 2024", "3 Feb 2024"]), DateOrder::NamedMonth);
        assert_eq!(order(&["10:00", "11:30:15"]), DateOrder::Time);
        let (column, _) = learned(&["2024-01-01", "2024-01-03"]).unwrap();
        let Encoding::Date(date) = column.encoding else { panic!("{column:?}") };
        assert_eq!((date.mean, date.std, date.indicator), (19_724.0, 1.0, false));
        assert_eq!(column.facts.unwrap().range, Some((19_723.0, 19_725.0)));
        let stray = learned(&["2024-01-01", "2024-01-03", "2024-01-04", "soon"]).unwrap_err();
        assert!(stray.contains("t.csv, line 4, column `x`: expected a date, found `soon`"), "{stray}");
    }

    #[test]
    fn dates_whose_order_nobody_knows_are_refused() {
        for cells in [&["01/02/2024", "03/04/2024"][..], &["13/01/2024", "01/13/2024", "01/02/2024"]] {
            let error = learned(cells).unwrap_err();
            assert!(error.contains("column `x`: expected a date of one order"), "{error}");
            assert!(error.contains("data.date_format"), "{error}");
        }
    }

    #[test]
    fn marks_between_digits_are_refused_where_the_recipe_says_nothing() {
        for cells in [
            &["1,234", "2,500"][..],
            &["1,234", "900", "3,000"],
            &["0,5", "1,25"],
            &["1.234.567", "2.5"],
            &["1,234", "2,000", "3,000", "x"],
        ] {
            let error = learned(cells).unwrap_err();
            assert!(error.contains("line 1, column `x`: expected a plain number (data.thousands"), "{error}");
        }
        assert!(matches!(learned(&["1,2,3", "4,5"]).unwrap().0.encoding, Encoding::Categorical(_)));
        let target = tally(&["1,234", "2,345"], true);
        let error = target.target("t", "x".into(), labels(&["1,234", "2,345"]), &wishes(None)).unwrap_err();
        assert!(error.to_string().contains("data.thousands"), "{error}");
    }

    #[test]
    fn a_target_of_dates_is_refused() {
        let cells = ["2024-01-01", "2024-01-02"];
        let target = |kind| tally(&cells, true).target("t", "x".into(), labels(&cells), &wishes(kind));
        assert!(target(None).unwrap_err().to_string().contains("data.target_kind"));
        assert!(target(Some(Kind::Categories)).is_ok());
    }

    #[test]
    fn a_choice_that_loses_something_is_told() {
        let notes = |cells: Vec<String>| {
            learned(&cells.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().1.join("\n")
        };
        let of = |of: &dyn Fn(usize) -> String| notes((0..30).map(of).collect());
        let some = of(&|row| if row % 2 == 0 { row.to_string() } else { "none given".into() });
        assert!(
            some.contains("though 15 of its 30 values are numbers") && some.contains("`none given` (15)")
        );
        let money = of(&|row| format!("${},{row:03}", row % 3 + 1));
        assert!(money.contains("numbers with a unit (`$1,000`)"), "{money}");
        assert!(money.contains("30 categories in 30 values"), "{money}");
        assert!(of(&|row| format!("{}/12/24", row % 4 + 1)).contains("year of two digits"));
        assert!(of(&|row| format!("{} days 01:02:03", row % 4)).contains("in seconds they would be numbers"));
        assert!(of(&|_| "x".into()).contains("the same in every training row"));
        assert!(of(&|_| "7".into()).contains("the same in every training row"));
        assert!(of(&|row| (row + 1).to_string()).contains("data.ignore"));
        assert!(of(&|row| (row * 50).to_string()).is_empty());
        assert!(of(&|row| ["red", "blue"][row % 2].to_string()).is_empty());
    }
}
