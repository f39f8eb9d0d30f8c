//! Constraints on single members, collected and reported together in AWS's words.
//!
//! The form is `N validation error[s] detected: Value 'V' at 'path' failed to satisfy constraint: C; …`, recorded from AWS.
//! What depends on more than one member, or on what is stored, is not decided here.

pub mod alias;
pub mod environment;
pub mod event_source_mapping;
pub mod function;
pub mod function_url;
pub mod layer;
pub mod name;
pub mod page;
pub mod permission;
pub mod route;
pub mod runtime;
pub mod tag;

use std::fmt::Display;

use crate::{Error, Result};

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// No problem yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem with a value.
    pub fn add(&mut self, path: &str, value: impl Display, constraint: &str) {
        self.0.push(format!(
            "Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
        ));
    }

    /// Adds a problem with a value that is not repeated, since it may be secret.
    pub fn add_secret(&mut self, path: &str, constraint: &str) {
        self.0.push(format!(
            "Value at '{path}' failed to satisfy constraint: {constraint}"
        ));
    }

    /// A member that must be there.
    pub fn required<T>(&mut self, path: &str, value: Option<&T>) {
        if value.is_none() {
            self.0.push(format!(
                "Value null at '{path}' failed to satisfy constraint: Member must not be null"
            ));
        }
    }

    /// Length in characters.
    pub fn length(&mut self, path: &str, value: &str, min: usize, max: usize) {
        let count = value.chars().count();
        if count > max {
            self.add(
                path,
                value,
                &format!("Member must have length less than or equal to {max}"),
            );
        }
        if count < min {
            self.add(
                path,
                value,
                &format!("Member must have length greater than or equal to {min}"),
            );
        }
    }

    /// A value that is one of a set; the set is printed in AWS's own order.
    pub fn one_of(&mut self, path: &str, value: Option<&str>, set: &[&str]) {
        if let Some(value) = value
            && !set.contains(&value)
        {
            let constraint = format!("Member must satisfy enum value set: [{}]", set.join(", "));
            self.add(path, value, &constraint);
        }
    }

    /// A number within limits.
    pub fn range(&mut self, path: &str, value: Option<i64>, min: i64, max: i64) {
        let Some(value) = value else { return };
        if value > max {
            self.add(
                path,
                value,
                &format!("Member must have value less than or equal to {max}"),
            );
        }
        if value < min {
            self.add(
                path,
                value,
                &format!("Member must have value greater than or equal to {min}"),
            );
        }
    }

    /// A text that a pattern accepts; `matches` is the pattern written as code.
    pub fn pattern(&mut self, path: &str, value: &str, matches: bool, pattern: &str) {
        if !matches {
            let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
            self.add(path, value, &constraint);
        }
    }

    /// The text of all problems, if there are any.
    pub fn text(&self) -> Option<String> {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        let count = self.0.len();
        (count > 0).then(|| format!("{count} validation error{plural} detected: {}", self.0.join("; ")))
    }

    /// All problems as one error, if there are any.
    pub fn finish(self) -> Result<()> {
        self.text().map_or(Ok(()), |text| Err(Error::Validation(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_problems_are_joined_in_one_text() {
        let mut problems = Problems::new();
        problems.range("timeout", Some(0), 1, 900);
        problems.one_of("functionVersion", Some("invalid"), &["ALL"]);
        assert_eq!(
            problems.finish(),
            Err(Error::Validation(
                "2 validation errors detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1; Value 'invalid' at 'functionVersion' failed to satisfy constraint: \
                 Member must satisfy enum value set: [ALL]"
                    .into()
            ))
        );
        assert_eq!(Problems::new().finish(), Ok(()));
    }
}
