//! Where a verb says things: results on standard output, progress and questions on standard error.
//!
//! Guarantees: standard output carries only what was asked for; no colour outside a terminal or with `NO_COLOR`; when the
//! reader of standard output is gone, writing stops without noise.

use std::io::{BufRead, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use flint_model::Code;
use serde::Serialize;

use super::failure::{Failure, Result};
use super::language::{Language, Message, Sentence};

/// Forms of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// Names only, one per line.
    Name,
}

/// The two streams and how to write on them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub(crate) language: Language,
    pub(crate) format: Format,
    pub(crate) yes: bool,
    /// Standard error is a terminal, and colour is wanted.
    pub(crate) colour: bool,
}

/// A table: titles and rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) titles: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Terminal {
    /// A terminal as the environment is.
    pub(crate) fn new(language: Language, format: Format, yes: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            language,
            format,
            yes,
            colour: !plain && std::io::stderr().is_terminal(),
        }
    }

    /// Says a line on standard error.
    pub(crate) fn say(self, sentence: impl Into<Sentence>) {
        let _ = writeln!(std::io::stderr(), "{}", sentence.into().render(self.language));
    }

    /// A sentence in the language of this terminal.
    pub(crate) fn text(self, sentence: impl Into<Sentence>) -> String {
        sentence.into().render(self.language)
    }

    /// Writes bytes as they are on standard output.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Writes lines on standard output.
    pub(crate) fn print(self, text: &str) -> Result<()> {
        self.write(text.as_bytes())?;
        if text.is_empty() || text.ends_with('\n') {
            Ok(())
        } else {
            self.write(b"\n")
        }
    }

    /// Writes a result in the form that was asked for.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        names: impl FnOnce() -> Vec<String>,
        table: impl FnOnce() -> Rows,
    ) -> Result<()> {
        match self.format {
            Format::Json => self.print(&serde_json::to_string_pretty(value).map_err(std::io::Error::other)?),
            Format::Yaml => self.print(&serde_saphyr::to_string(value).map_err(std::io::Error::other)?),
            Format::Name => self.print(&names().iter().map(|name| format!("{name}\n")).collect::<String>()),
            Format::Table => self.print(&draw(table())),
        }
    }

    /// Asks before something is destroyed. Without a terminal there is nobody to ask.
    pub(crate) fn confirm(self, question: impl Into<Sentence>) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Failure::usage(Message::DeclinedNoTerminal).hint(Message::HintYes));
        }
        let question = self.text(Message::Ask.with("what", self.text(question)));
        write!(std::io::stderr(), "{question}")?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是") {
            return Ok(());
        }
        Err(Failure::new(Code::Usage, Message::Declined))
    }
}

/// Columns by spaces; wrapped to the width of a terminal, never where a script reads.
fn draw(rows: Rows) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(rows.titles);
    table.add_rows(rows.rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}
