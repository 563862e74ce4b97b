//! Samples, medians and the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One measured number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// `host x1 p50`, `floor x64 rate`, …
    pub name: String,
    /// `us`, `ms`, `/s`, `KiB`, `%`.
    pub unit: String,
    pub value: f64,
}

impl Sample {
    pub(crate) fn new(name: impl Into<String>, unit: &str, value: f64) -> Self {
        Self { name: name.into(), unit: unit.to_owned(), value }
    }

    pub(crate) fn to_line(&self) -> String {
        format!("{}\t{:.3}\t{}", self.name, self.value, self.unit)
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let (name, value, unit) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { name: name.to_owned(), unit: unit.to_owned(), value: value.parse().ok()? })
    }
}

/// The value at `share` (0 to 1) of the sorted values.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get(((values.len() as f64 * share) as usize).min(last)).copied().unwrap_or(f64::NAN)
}

/// By round, and by what the process measured that took them: some measure a floor of the same name.
type Values = BTreeMap<(u32, &'static str), f64>;

/// All samples of a run.
#[derive(Default)]
pub(crate) struct Table {
    /// (place, name) → unit and values by round and process.
    rows: BTreeMap<(String, String), (String, Values)>,
    order: Vec<(String, String)>,
}

impl Table {
    pub(crate) fn add(&mut self, round: u32, what: &'static str, place: &str, sample: Sample) {
        let key = (place.to_owned(), sample.name);
        if !self.rows.contains_key(&key) {
            self.order.push(key.clone());
        }
        let row = self.rows.entry(key).or_insert_with(|| (sample.unit, Values::new()));
        row.1.insert((round, what), sample.value);
    }

    /// Medians, spread, and the ratio to the floor's row of the same shape, of the same process.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "| what | where | median | spread | against the floor |\n|---|---|---|---|---|\n",
        );
        for key in &self.order {
            let (unit, values) = &self.rows[key];
            let mut all: Vec<f64> = values.values().copied().collect();
            let (low, high) = (quantile(&mut all, 0.0), quantile(&mut all, 1.0));
            let median = quantile(&mut all, 0.5);
            let ratio = self.ratio(key).map_or_else(String::new, |r| format!("{r:.2} ×"));
            writeln!(
                text,
                "| {} | {} | {median:.2} {unit} | {low:.2}–{high:.2} | {ratio} |",
                key.1, key.0
            )
            .expect("writing to a string cannot fail");
        }
        text
    }

    fn ratio(&self, key: &(String, String)) -> Option<f64> {
        let (who, shape) = key.1.split_once(' ')?;
        if who == "floor" {
            return None;
        }
        let (_, floor) = self.rows.get(&(key.0.clone(), format!("floor {shape}")))?;
        let (_, mine) = &self.rows[key];
        let mut ratios: Vec<f64> =
            mine.iter().filter_map(|(of, value)| Some(value / floor.get(of)?)).collect();
        Some(quantile(&mut ratios, 0.5))
    }
}
