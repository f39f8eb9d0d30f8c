//! How much the wildcards on one field may cost, by the measure of AWS's rule engine.
//!
//! The measure is the largest number of beginnings of wildcards that one text could be in the midst of at the same time
//! (event-ruler's `MachineComplexityEvaluator`); more `*`, and repetitions behind a `*`, make it larger. Found by walking
//! through the sets of beginnings that texts can lead to.

use std::collections::{BTreeSet, HashSet};

use super::PatternError;
use super::parse::{Rule, refuse};
use super::wildcard::{Token, Wildcard};

/// More than this and EventBridge refuses the pattern.
const MOST: usize = 10;
/// So many sets are looked at; a pattern that has more is refused too.
const MOST_SETS: usize = 20_000;

/// Refuses a pattern with a field whose wildcards cost too much.
pub(super) fn check(rules: &[Rule]) -> Result<(), PatternError> {
    for conditions in rules.iter().flat_map(|rule| rule.values()) {
        let wildcards: Vec<&Wildcard> = conditions.iter().filter_map(|it| it.wildcard()).collect();
        if !wildcards.is_empty() && is_too_complex(&wildcards) {
            return refuse(
                "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a \
                 wildcard character",
            );
        }
    }
    Ok(())
}

/// Wildcard and number of its tokens behind us.
type State = (usize, usize);

fn is_too_complex(wildcards: &[&Wildcard]) -> bool {
    let token = |(wildcard, at): State| wildcards[wildcard].tokens().get(at).copied();
    let mut alphabet: BTreeSet<u8> = BTreeSet::new();
    for wildcard in wildcards {
        alphabet.extend(wildcard.tokens().iter().filter_map(|it| match it {
            Token::Byte(byte) => Some(*byte),
            Token::Any => None,
        }));
    }
    // One byte that no wildcard names stands for all of those.
    let other = (0..=u8::MAX).find(|byte| !alphabet.contains(byte));
    alphabet.extend(other);
    let start: BTreeSet<State> = (0..wildcards.len()).map(|wildcard| (wildcard, 0)).collect();
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(states) = open.pop() {
        for byte in &alphabet {
            let (next, cost) = step(&states, *byte, token);
            if cost > MOST || seen.len() > MOST_SETS {
                return true;
            }
            if !next.is_empty() && seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    false
}

/// Where a byte leads to from a set of states, and how many beginnings it is part of.
fn step(
    states: &BTreeSet<State>,
    byte: u8,
    token: impl Fn(State) -> Option<Token>,
) -> (BTreeSet<State>, usize) {
    let (mut stayed, mut moved) = (BTreeSet::new(), BTreeSet::new());
    for &(wildcard, at) in states {
        let mut at = at;
        if token((wildcard, at)) == Some(Token::Any) {
            stayed.insert((wildcard, at));
            at += 1;
        }
        if token((wildcard, at)) == Some(Token::Byte(byte)) {
            moved.insert((wildcard, at + 1));
        }
    }
    // A `*` right behind counts as well: a text that has come here is inside of it already.
    let begun = moved
        .iter()
        .filter(|state| token(**state) == Some(Token::Any) && !stayed.contains(state));
    let cost = stayed.len() + moved.len() + begun.count();
    stayed.append(&mut moved);
    (stayed, cost)
}
