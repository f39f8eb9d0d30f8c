//! The two languages of the command line. Codes, names and machine output are the same in both.
//!
//! Guarantees: a sentence exists in both languages, since the table cannot be written otherwise; a test compares their
//! placeholders. Leaves to others: the server's own texts, which stay as they came.

mod help;
mod message;

use std::fmt::Display;

pub(crate) use help::translate;
pub(crate) use message::Message;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl Language {
    /// The language of a locale such as `zh_CN.UTF-8`: the first of `LC_ALL`, `LC_MESSAGES`, `LANG` that is set.
    pub(crate) fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        match locale {
            Some(locale) if locale.starts_with("zh") => Self::Zh,
            _ => Self::En,
        }
    }
}

/// A sentence to show: one of the table with its values, or a text that came from elsewhere.
#[derive(Debug, Clone)]
pub(crate) enum Sentence {
    Plain(String),
    Table(Message, Vec<(&'static str, String)>),
}

impl Sentence {
    /// Fills in a value.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        if let Self::Table(_, values) = &mut self {
            values.push((name, value.to_string()));
        }
        self
    }

    /// The sentence in a language.
    pub(crate) fn render(&self, language: Language) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Table(message, values) => fill(message.text(language), values),
        }
    }
}

impl From<Message> for Sentence {
    fn from(message: Message) -> Self {
        Self::Table(message, Vec::new())
    }
}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl Message {
    /// The message with a first value.
    pub(crate) fn with(self, name: &'static str, value: impl Display) -> Sentence {
        Sentence::from(self).with(name, value)
    }
}

/// Replaces `{name}`. Values are not looked at again, so braces in them do no harm.
fn fill(template: &str, values: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(
            values
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("", |(_, value)| value),
        );
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(text: &str) -> Vec<&str> {
        let mut found: Vec<_> = text
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}').map(|(name, _)| name))
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn both_languages_say_the_same() {
        for message in Message::ALL {
            let (en, zh) = (message.text(Language::En), message.text(Language::Zh));
            assert!(!en.is_empty() && !zh.is_empty(), "{message:?}");
            assert_eq!(placeholders(en), placeholders(zh), "{message:?}");
            assert!(
                zh.chars().any(|c| c as u32 > 0x2e80),
                "{message:?} is not Chinese: {zh}"
            );
        }
    }

    #[test]
    fn values_are_filled_in_once() {
        let values = [("name", "{name}".to_owned())];
        assert_eq!(fill("a {name} b {other}.", &values), "a {name} b .");
    }

    #[test]
    fn the_locale_decides_unless_told_otherwise() {
        let with = |value: &str| Language::of_locale(|name| (name == "LANG").then(|| value.to_owned()));
        assert_eq!(with("zh_CN.UTF-8"), Language::Zh);
        assert_eq!(with("C"), Language::En);
    }
}
