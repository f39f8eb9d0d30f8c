//! What the parser of the command line does not accept, in the language of the user.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::failure::Failure;
use super::language::{Message, Sentence};

/// A failure with the code of wrong usage and a hint at the verb's help.
pub(crate) fn failure(error: &Error) -> Failure {
    // A verb that is not known has no help.
    let known = error.kind() != ErrorKind::InvalidSubcommand;
    let verb = std::env::args()
        .nth(1)
        .filter(|word| known && !word.starts_with('-'));
    let verb = verb.map(|word| format!(" {word}")).unwrap_or_default();
    Failure::usage(sentence(error)).hint(Message::HintUsage.with("verb", verb))
}

fn sentence(error: &Error) -> Sentence {
    let context = |kind| error.get(kind).map(text).unwrap_or_default();
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            Message::UsageMissing.with("names", context(ContextKind::InvalidArg))
        }
        ErrorKind::UnknownArgument => Message::UsageUnknown
            .with("name", context(ContextKind::InvalidArg))
            .with("suggestion", suggestion(&context(ContextKind::SuggestedArg))),
        ErrorKind::InvalidSubcommand => Message::UsageUnknown
            .with("name", context(ContextKind::InvalidSubcommand))
            .with(
                "suggestion",
                suggestion(&context(ContextKind::SuggestedSubcommand)),
            ),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let valid = context(ContextKind::ValidValue);
            let cause = std::error::Error::source(error)
                .map(ToString::to_string)
                .unwrap_or_default();
            Message::UsageValue
                .with("value", context(ContextKind::InvalidValue))
                .with("name", context(ContextKind::InvalidArg))
                .with("reason", if valid.is_empty() { cause } else { valid })
        }
        ErrorKind::ArgumentConflict => Message::UsageConflict
            .with("name", context(ContextKind::InvalidArg))
            .with("other", context(ContextKind::PriorArg)),
        _ => {
            let text = error.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            text.split("\n\n")
                .next()
                .unwrap_or(text)
                .trim_end()
                .to_owned()
                .into()
        }
    }
}

fn suggestion(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" ({name}?)")
    }
}

fn text(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(all) => all.join(", "),
        other => other.to_string(),
    }
}
