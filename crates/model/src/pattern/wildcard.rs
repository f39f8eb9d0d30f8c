//! Texts with `*`, which stands for any characters, also none. `\*` and `\\` are the characters themselves.

use super::PatternError;
use super::parse::refuse;

/// A part of a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Byte(u8),
    Any,
}

/// A wildcard, ready to match.
#[derive(Debug, Clone)]
pub(super) struct Wildcard(Vec<Token>);

impl Wildcard {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            // AWS counts from the quote in front of the text.
            let position = at + 1;
            match byte {
                b'*' if tokens.last() == Some(&Token::Any) => {
                    return refuse(format!("Consecutive wildcard characters at pos {at}"));
                }
                b'*' => tokens.push(Token::Any),
                b'\\' => match bytes.next() {
                    Some((_, escaped @ (b'*' | b'\\'))) => tokens.push(Token::Byte(escaped)),
                    _ => return refuse(format!("Invalid escape character at pos {position}")),
                },
                byte => tokens.push(Token::Byte(byte)),
            }
        }
        Ok(Self(tokens))
    }

    pub(super) fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// Matches in time pattern times text: on a mismatch only the last `*` takes one more character, which is enough since
    /// what an earlier one left to a later one could have been taken by the later one.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (tokens, text) = (&self.0, text.as_bytes());
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match tokens.get(token) {
                Some(Token::Any) => {
                    retry = Some((token + 1, at));
                    token += 1;
                }
                Some(Token::Byte(byte)) if *byte == text[at] => {
                    token += 1;
                    at += 1;
                }
                _ => {
                    let Some((after, from)) = &mut retry else {
                        return false;
                    };
                    *from += 1;
                    (token, at) = (*after, *from);
                }
            }
        }
        tokens[token..].iter().all(|it| *it == Token::Any)
    }
}
