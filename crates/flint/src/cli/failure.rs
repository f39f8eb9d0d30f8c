//! What a verb could not do: code, sentence, hint, exit code.
//!
//! Exit codes: 0 ok · 1 function returned an error, or a failure of no other kind · 2 usage · 3 not found · 4 denied ·
//! 5 conflict or precondition · 6 time-out · 7 throttled · 8 cannot reach the server.

use flint_model::Code;

use super::language::{Language, Message, Sentence};

/// How a verb ended that did what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Good,
    /// The function returned an error, or the doctor found an open probe or misses a required layer.
    Bad,
}

/// Why a verb could not do what it was told.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    sentence: Sentence,
    hint: Option<Sentence>,
    exit: u8,
}

/// Result of a verb's steps.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of our own.
    pub(crate) fn new(code: Code, sentence: impl Into<Sentence>) -> Self {
        Self {
            code: code.to_string(),
            sentence: sentence.into(),
            hint: None,
            exit: exit(Some(code), code.info().status),
        }
    }

    /// What a server refused.
    pub(crate) fn answered(code: &str, status: u16, text: String) -> Self {
        let known = Code::ALL.iter().copied().find(|known| known.to_string() == code);
        let hint = match (known, status) {
            (_, 404) => Message::HintList.into(),
            (Some(Code::Throttled | Code::NotReady | Code::ShuttingDown), _) => Message::HintRetry.into(),
            (Some(Code::PreconditionFailed), _) => Message::HintConflict.into(),
            (Some(Code::Conflict), _) if text.contains("update is in progress") => {
                Message::HintConflict.into()
            }
            (Some(Code::Conflict), _) if text.contains("state: Pending") => Message::HintRetry.into(),
            (Some(Code::UnknownCredentials | Code::BadSignature), _) => Message::HintCredentials.into(),
            (Some(code), _) => Message::HintPage.with("code", code),
            (None, _) => Message::HintRetry.into(),
        };
        let code = if code.is_empty() {
            Code::Internal.to_string()
        } else {
            code.to_owned()
        };
        Self {
            code,
            sentence: text.into(),
            hint: Some(hint),
            exit: exit(known, status),
        }
    }

    /// Called wrongly.
    pub(crate) fn usage(sentence: impl Into<Sentence>) -> Self {
        Self::new(Code::Usage, sentence)
    }

    /// Of what is not there: the verb that lists things of its kind, by the path that was asked for.
    pub(crate) fn listed_by(mut self, path: &str) -> Self {
        const LISTS: [(&str, Message); 8] = [
            ("/api/v1/triggers", Message::HintListTriggers),
            ("/api/v1/event-source-mappings", Message::HintListTriggers),
            ("/2015-03-31/event-source-mappings", Message::HintListTriggers),
            ("/api/v1/dead-letters", Message::HintListLetters),
            ("/api/v1/routes", Message::HintListRoutes),
            ("/api/v1/keys", Message::HintListKeys),
            ("/api/v1/artefacts", Message::HintListArtefacts),
            ("/api/v1/images", Message::HintListImages),
        ];
        let found = LISTS.iter().find(|(prefix, _)| path.starts_with(prefix));
        if self.is_not_found()
            && let Some((_, hint)) = found
        {
            self.hint = Some((*hint).into());
        }
        self
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<Sentence>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it has a code.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code.to_string()
    }

    /// Whether it contradicts what is there.
    pub(crate) fn is_conflict(&self) -> bool {
        self.exit == 5
    }

    /// Whether the thing asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.exit == 3
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        self.exit
    }

    /// `error[FLT-2001]: …` and, below it, `hint: …`.
    pub(crate) fn render(&self, language: Language, colour: bool) -> String {
        let (red, blue, off) = if colour {
            ("\x1b[1;31m", "\x1b[36m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut text = format!(
            "{red}error[{}]{off}: {}\n",
            self.code,
            self.sentence.render(language)
        );
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{blue}hint{off}: {}\n", hint.render(language)));
        }
        text
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            exit: 1,
            ..Self::new(
                Code::Configuration,
                Message::Failed.with("reason", format!("{error:#}")),
            )
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

fn exit(code: Option<Code>, status: u16) -> u8 {
    match (code, status) {
        (Some(Code::Unreachable), _) => 8,
        (Some(Code::DeadlineExceeded), _) | (_, 408 | 504) => 6,
        (Some(Code::Usage | Code::Project | Code::Configuration), _) => 2,
        (_, 404) => 3,
        (_, 401 | 403) => 4,
        (_, 409 | 412) => 5,
        (_, 429) => 7,
        (_, 400..=499) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_kinds_apart() {
        let exits = [
            (Code::NotFound, 3),
            (Code::UnknownCredentials, 4),
            (Code::Conflict, 5),
            (Code::PreconditionFailed, 5),
            (Code::DeadlineExceeded, 6),
            (Code::Throttled, 7),
            (Code::Unreachable, 8),
            (Code::Usage, 2),
            (Code::Validation, 2),
        ];
        for (code, expected) in exits {
            assert_eq!(exit(Some(code), code.info().status), expected, "{code}");
        }
    }
}
