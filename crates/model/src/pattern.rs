//! Event patterns: the filter language of EventBridge and of Lambda's event source mappings.
//!
//! Guarantees: a pattern that AWS refuses is refused with its reason; matching ends in time that grows with pattern times
//! event, never exponentially. The rules are those of AWS's published documentation ("Comparison operators for use in event
//! patterns") and of its open rule engine, event-ruler. Leaves to others: which event is matched, and what is done with it.

mod complexity;
mod condition;
mod parse;
mod wildcard;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use condition::Condition;

/// Why a text is no event pattern, in AWS's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// A pattern that events are matched against.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// One tree for each branch of `$or`; an event matches when it matches one of them.
    branches: Vec<Node>,
}

/// A step of a path: what the values there must be, and what is below it.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The steps from the root to here.
    path: Vec<String>,
    /// One of them must hold; none: nothing is asked of the values here.
    conditions: Vec<Condition>,
    /// All of them must match.
    below: BTreeMap<String, Node>,
}

impl Pattern {
    /// Reads a pattern from its JSON text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| PatternError(format!("not JSON: {error}")))?;
        Self::compile(&value)
    }

    /// Reads a pattern from a JSON value.
    pub fn compile(value: &Value) -> Result<Self, PatternError> {
        let rules = parse::rules(value)?;
        complexity::check(&rules)?;
        let branches = rules.into_iter().map(tree).collect();
        Ok(Self { branches })
    }

    /// Whether the event matches.
    pub fn matches(&self, event: &Value) -> bool {
        let here = [Place::Value(event)];
        self.branches.iter().any(|branch| matches(branch, &here, &here))
    }
}

/// Puts the conditions of one branch into a tree. A dot inside of a key joins steps, as the key `a.b` is `a` and then `b`.
fn tree(rule: BTreeMap<String, Vec<Condition>>) -> Node {
    let mut root = Node::default();
    for (path, conditions) in rule {
        let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
        let mut node = &mut root;
        for (index, step) in steps.iter().enumerate() {
            node = node.below.entry(step.clone()).or_default();
            node.path = steps[..=index].to_vec();
        }
        node.conditions = conditions;
    }
    root
}

/// Where in the event a step leads to. A key of the event with dots inside is several steps too.
#[derive(Debug, Clone)]
enum Place<'a> {
    Value(&'a Value),
    /// Inside of the keys of an object that begin with this.
    Within(&'a Map<String, Value>, String),
}

/// Whether what stands at the places, taken together, matches. Of an array one element must match as a whole: conditions on
/// two members of one object are never met by two different elements.
fn matches(node: &Node, places: &[Place<'_>], root: &[Place<'_>]) -> bool {
    let array = places.iter().enumerate().find_map(|(at, place)| match place {
        Place::Value(Value::Array(elements)) => Some((at, elements)),
        _ => None,
    });
    if let Some((at, elements)) = array {
        let mut rest = places.to_vec();
        rest.remove(at);
        if elements.is_empty() {
            return matches(node, &rest, root);
        }
        return elements.iter().any(|element| {
            let mut chosen = rest.clone();
            chosen.push(Place::Value(element));
            matches(node, &chosen, root)
        });
    }
    let fits = node.conditions.is_empty()
        || leaves(places).any(|value| node.conditions.iter().any(|it| it.holds(value)))
        // Absence is asked of the whole event, as in AWS's engine: an element of an array that lacks the key is not enough.
        || (node.conditions.iter().any(Condition::is_absence) && !is_there(root, &node.path));
    fits && node.below.iter().all(|(step, below)| {
        let next = descend(places, step);
        matches(below, &next, root)
    })
}

fn leaves<'a>(places: &'a [Place<'a>]) -> impl Iterator<Item = &'a Value> {
    places.iter().filter_map(|place| match place {
        Place::Value(value) if !value.is_object() && !value.is_array() => Some(*value),
        _ => None,
    })
}

/// One step further from each place.
fn descend<'a>(places: &[Place<'a>], step: &str) -> Vec<Place<'a>> {
    let mut found = Vec::new();
    for place in places {
        let (object, key) = match place {
            Place::Value(Value::Object(object)) => (object, step.to_owned()),
            Place::Value(_) => continue,
            Place::Within(object, prefix) => (*object, format!("{prefix}{step}")),
        };
        found.extend(object.get(&key).map(Place::Value));
        let prefix = format!("{key}.");
        if object.keys().any(|known| known.starts_with(&prefix)) {
            found.push(Place::Within(object, prefix));
        }
    }
    found
}

/// Whether a value stands anywhere at the path, in whichever element of arrays.
fn is_there(places: &[Place<'_>], path: &[String]) -> bool {
    let mut spread = Vec::new();
    for place in places {
        flatten(place.clone(), &mut spread);
    }
    match path.split_first() {
        None => leaves(&spread).next().is_some(),
        Some((step, rest)) => is_there(&descend(&spread, step), rest),
    }
}

fn flatten<'a>(place: Place<'a>, into: &mut Vec<Place<'a>>) {
    match place {
        Place::Value(Value::Array(elements)) => {
            for element in elements {
                flatten(Place::Value(element), into);
            }
        }
        other => into.push(other),
    }
}
