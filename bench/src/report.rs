//! The figures of a run: a table for people, JSON for the record.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::host;

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most this many times the baseline.
    RatioAtMost(f64),
    /// At least this share of the baseline.
    RatioAtLeast(f64),
    /// At most this value.
    AtMost(f64),
    /// At least this value.
    AtLeast(f64),
    /// Shown, not promised.
    None,
}

impl Goal {
    fn met(self, value: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::RatioAtMost(limit) => ratio.map(|ratio| ratio <= limit),
            Self::RatioAtLeast(limit) => ratio.map(|ratio| ratio >= limit),
            Self::AtMost(limit) => Some(value <= limit),
            Self::AtLeast(limit) => Some(value >= limit),
            Self::None => None,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::RatioAtMost(limit) => format!("<= {limit} x baseline"),
            Self::RatioAtLeast(limit) => format!(">= {limit} x baseline"),
            Self::AtMost(limit) => format!("<= {limit} {unit}"),
            Self::AtLeast(limit) => format!(">= {limit} {unit}"),
            Self::None => "-".into(),
        }
    }
}

/// One number with what it is compared with.
#[derive(Debug)]
struct Figure {
    id: String,
    value: f64,
    unit: &'static str,
    baseline: Option<f64>,
    goal: Goal,
}

impl Figure {
    fn ratio(&self) -> Option<f64> {
        self.baseline
            .filter(|baseline| *baseline > 0.0)
            .map(|baseline| self.value / baseline)
    }

    fn met(&self) -> Option<bool> {
        self.goal.met(self.value, self.ratio())
    }
}

/// Everything one verb found.
#[derive(Debug)]
pub(crate) struct Report {
    seed: u64,
    load_before: f64,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            load_before: host::load(),
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Seed of everything random in this run.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Adds a figure.
    pub(crate) fn add(
        &mut self,
        id: impl Into<String>,
        value: f64,
        unit: &'static str,
        baseline: Option<f64>,
        goal: Goal,
    ) {
        self.figures.push(Figure {
            id: id.into(),
            value,
            unit,
            baseline,
            goal,
        });
    }

    /// Adds a line below the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Whether no goal was missed.
    pub(crate) fn all_met(&self) -> bool {
        self.figures.iter().all(|figure| figure.met() != Some(false))
    }

    /// Prints the table.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{:<30} {:>12} {:>12} {:>7}  goal",
            "figure", "value", "baseline", "ratio"
        )?;
        for figure in &self.figures {
            let baseline = figure.baseline.map_or_else(|| "-".into(), short);
            let ratio = figure
                .ratio()
                .map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
            let verdict = match figure.met() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            let value = format!("{} {}", short(figure.value), figure.unit);
            let goal = figure.goal.text(figure.unit);
            writeln!(
                out,
                "{:<30} {value:>12} {baseline:>12} {ratio:>7}  {goal:<20} {verdict}",
                figure.id
            )?;
        }
        for note in &self.notes {
            writeln!(out, "  {note}")?;
        }
        writeln!(
            out,
            "  load {:.1} before, {:.1} after",
            self.load_before,
            host::load()
        )?;
        Ok(())
    }

    /// Writes the JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let figures: Map<String, Value> = self
            .figures
            .iter()
            .map(|figure| (figure.id.clone(), entry(figure)))
            .collect();
        let command: Vec<String> = std::env::args().skip(1).collect();
        let document = json!({
            "commit": host::commit(),
            "host": { "cpus": host::cpus(), "kernel": host::kernel(), "load": self.load_before },
            "seed": self.seed,
            "command": format!("flint-bench {}", command.join(" ")),
            "figures": figures,
            "notes": self.notes,
        });
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = format!("{document:#}\n");
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn entry(figure: &Figure) -> Value {
    json!({
        "value": rounded(figure.value),
        "unit": figure.unit,
        "baseline": figure.baseline.map(rounded),
        "ratio": figure.ratio().map(rounded),
        "goal": figure.goal.text(figure.unit),
        "met": figure.met(),
    })
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// A number with as many digits as mean something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Says on the error stream why a run ended.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "failed: {error:#}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_is_seen_and_a_shown_figure_is_not_judged() {
        let mut report = Report::new(1);
        report.add("shown", 9.0, "ms", None, Goal::None);
        report.add("good", 3.0, "ms", Some(2.0), Goal::RatioAtMost(1.5));
        assert!(report.all_met());
        report.add("slow", 3.1, "ms", Some(2.0), Goal::RatioAtMost(1.5));
        assert!(!report.all_met());
    }
}
