//! Event patterns: the recorded cases of EventBridge, and what the documentation says besides.

use std::path::Path;

use flint_model::Pattern;
use serde_json::{Value, json};

/// Comments and commas before a closing bracket, which the recordings have, taken out.
fn plain_json(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push(c);
                while let Some(inner) = chars.next() {
                    out.push(inner);
                    match inner {
                        '\\' => out.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|it| it != '\n') {},
            '}' | ']' => {
                out.truncate(out.trim_end().trim_end_matches(',').len());
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

fn outcome(pattern: &Value, event: &Value) -> &'static str {
    match Pattern::compile(pattern) {
        Err(_) => "error",
        Ok(pattern) if pattern.matches(event) => "match",
        Ok(_) => "no match",
    }
}

#[test]
fn the_recorded_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/event-patterns/cases.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut run, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let body: Value = serde_json::from_str(&plain_json(case["json5"].as_str().unwrap())).unwrap();
        let got = outcome(&body["EventPattern"], &body["Event"]);
        run += 1;
        if got != case["expect"].as_str().unwrap() {
            wrong.push(format!("{}: {got}, recorded {}", case["name"], case["expect"]));
        }
    }
    assert!(run >= 79, "the cases are found");
    assert!(wrong.is_empty(), "{} of {run} differ: {wrong:#?}", wrong.len());
}

fn check(expected: &str, pattern: &Value, events: &[Value]) {
    for event in events {
        assert_eq!(outcome(pattern, event), expected, "{pattern} on {event}");
    }
}

#[test]
fn numbers_are_compared_by_value_and_never_as_text() {
    let is = json!({"n": [300]});
    check(
        "match",
        &is,
        &[json!({"n": 300}), json!({"n": 300.0}), json!({"n": 3.0e2})],
    );
    check(
        "no match",
        &is,
        &[json!({"n": "300"}), json!({"n": 301}), json!({})],
    );
    let account = json!({"n": [123_456_789_012_u64]});
    check("match", &account, &[json!({"n": 123_456_789_012_u64})]);
    check("no match", &account, &[json!({"n": 123_456_789_013_u64})]);
    let range = json!({"n": [{"numeric": [">=", -1.5, "<", 2]}]});
    check("match", &range, &[json!({"n": -1.5}), json!({"n": 1.999_999})]);
    check(
        "no match",
        &range,
        &[
            json!({"n": 2}),
            json!({"n": "1"}),
            json!({"n": null}),
            json!({"n": true}),
        ],
    );
}

#[test]
fn numeric_terms_that_make_no_range_are_refused() {
    for terms in [
        json!([]),
        json!([">"]),
        json!([">", "1"]),
        json!(["=", 1, "<", 2]),
        json!(["<", 5, ">", 1]),
        json!([">", 5, "<", 1]),
        json!([">", 0, "<", 5, "<", 6]),
        json!([">", 0, "<"]),
        json!(["!", 1]),
        json!([1, ">"]),
        json!([">", 5_000_000_001_i64]),
        json!(5),
    ] {
        check("error", &json!({"n": [{"numeric": terms}]}), &[json!({})]);
    }
    check("error", &json!({"n": [{"numEric": [">", 0]}]}), &[json!({})]);
}

#[test]
fn addresses_and_networks() {
    let network = |cidr: &str| json!({"ip": [{"cidr": cidr}]});
    check("match", &network("10.0.0.0/24"), &[json!({"ip": "10.0.0.255"})]);
    check(
        "no match",
        &network("10.0.0.0/24"),
        &[json!({"ip": "10.0.1.0"}), json!({"ip": "x"}), json!({"ip": 10})],
    );
    check(
        "match",
        &network("2001:db8::/32"),
        &[json!({"ip": "2001:0db8:1::7"})],
    );
    check(
        "no match",
        &network("2001:db8::/32"),
        &[json!({"ip": "2001:db9::"}), json!({"ip": "10.0.0.1"})],
    );
    check("match", &network("0.0.0.0/0"), &[json!({"ip": "255.1.2.3"})]);
    for bad in [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0/8",
        "10.0.0.0/x",
        "::/129",
        "host/8",
        "1.2.3.4/8/9",
    ] {
        check("error", &network(bad), &[json!({})]);
    }
}

#[test]
fn members_of_one_condition_are_met_by_one_element() {
    let pattern = json!({"items": {"kind": ["a"], "state": ["open"]}});
    check(
        "match",
        &pattern,
        &[json!({"items": [{"kind": "b", "state": "open"}, {"kind": "a", "state": "open"}]})],
    );
    check(
        "no match",
        &pattern,
        &[json!({"items": [{"kind": "a", "state": "shut"}, {"kind": "b", "state": "open"}]})],
    );
    // Lists in lists are walked through as well.
    check(
        "match",
        &pattern,
        &[json!({"items": [[{"kind": "a"}], [{"kind": "a", "state": "open"}]]})],
    );
}

#[test]
fn absence_is_asked_of_the_whole_event() {
    let absent = json!({"a": {"b": [{"exists": false}]}});
    check(
        "match",
        &absent,
        &[
            json!({}),
            json!({"a": {}}),
            json!({"a": []}),
            json!({"a": {"b": {}}}),
            json!({"a": 1}),
        ],
    );
    check(
        "no match",
        &absent,
        &[json!({"a": {"b": null}}), json!({"a": [{"c": 1}, {"b": 1}]})],
    );
    let there = json!({"a": [{"exists": true}]});
    check("match", &there, &[json!({"a": null}), json!({"a": [1]})]);
    check(
        "no match",
        &there,
        &[json!({"a": {"b": 1}}), json!({"a": []}), json!({})],
    );
    for bad in [json!("true"), json!(1), json!(null)] {
        check("error", &json!({"a": [{"exists": bad}]}), &[json!({})]);
    }
}

#[test]
fn dots_join_steps_on_both_sides() {
    let pattern = json!({"a": {"b.c": [1], "d": [2]}});
    check(
        "match",
        &pattern,
        &[
            json!({"a.b": {"c": 1}, "a": {"d": 2}}),
            json!({"a.b.c": 1, "a.d": 2}),
        ],
    );
    check("no match", &pattern, &[json!({"a.b": {"c": 1}, "a": {"e": 2}})]);
}

#[test]
fn or_divides_into_branches() {
    let pattern = json!({"s": ["x"], "$or": [{"a": [1]}, {"b": {"$or": [{"c": [2]}, {"d": [3]}]}}]});
    check(
        "match",
        &pattern,
        &[json!({"s": "x", "a": 1}), json!({"s": "x", "b": {"d": 3}})],
    );
    check(
        "no match",
        &pattern,
        &[json!({"s": "y", "a": 1}), json!({"s": "x", "b": {"d": 2}})],
    );
    for bad in [
        json!({"$or": []}),
        json!({"$or": [{"a": [1]}]}),
        json!({"$or": {"a": [1]}}),
        json!({"$or": [{"a": [1]}, 2]}),
        json!({"$or": [{"a": [1]}, {}]}),
        json!({"$or": [{"a": [1]}, {"prefix": ["x"]}]}),
    ] {
        check("error", &bad, &[json!({})]);
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for bad in [
        json!({}),
        json!([]),
        json!("text"),
        json!({"a": "x"}),
        json!({"a": 1}),
        json!({"a": null}),
        json!({"a": {}}),
        json!({"a": [{}]}),
        json!({"a": [["x"]]}),
        json!({"a": [{"prefix": "x", "suffix": "y"}]}),
        json!({"a": [{"anything-but": []}]}),
        json!({"a": [{"anything-but": ["x", 1]}]}),
        json!({"a": [{"anything-but": true}]}),
        json!({"a": [{"anything-but": {}}]}),
        json!({"a": [{"anything-but": {"numeric": [">", 1]}}]}),
        json!({"a": [{"anything-but": {"prefix": []}}]}),
        json!({"a": [{"prefix": {"anything-but": "x"}}]}),
        json!({"a": [{"wildcard": r"a\b"}]}),
        json!({"a": [{"unheard-of": "x"}]}),
    ] {
        check("error", &bad, &[json!({})]);
    }
    assert!(Pattern::parse("{\"a\": [1]").is_err());
}

#[test]
fn wildcards_match_whole_texts_only() {
    let of = |text: &str| json!({"a": [{"wildcard": text}]});
    check("match", &of("*"), &[json!({"a": ""}), json!({"a": "数"})]);
    check(
        "match",
        &of("a*b*c"),
        &[json!({"a": "abc"}), json!({"a": "abbcbc"})],
    );
    check(
        "no match",
        &of("a*b*c"),
        &[json!({"a": "abcb"}), json!({"a": "ac"}), json!({"a": 1})],
    );
    check("match", &of(r"1\*2\\*"), &[json!({"a": r"1*2\x"})]);
    check("no match", &of(r"1\*2"), &[json!({"a": "132"})]);
}

#[test]
fn wildcards_that_cost_too_much_are_refused() {
    let many = |texts: &[&str]| {
        let conditions: Vec<Value> = texts.iter().map(|text| json!({"wildcard": text})).collect();
        json!({"a": conditions})
    };
    let fine = ["*.bif", "*.tiff", "*.tif", "*.svs"];
    check("no match", &many(&fine), &[json!({"a": "x"})]);
    check(
        "no match",
        &many(&["*/d/*.bif", "*/d/*.tif"]),
        &[json!({"a": "x"})],
    );
    let four = [
        "*/datasync/*.bif",
        "*/datasync/*.tiff",
        "*/datasync/*.tif",
        "*/datasync/*.svs",
    ];
    check("error", &many(&four), &[json!({})]);
    check("error", &many(&["*a*a*a*a*a*a*a*a*"]), &[json!({})]);
    check("error", &many(&["*abababababababababababab"]), &[json!({})]);
}

#[test]
fn case_is_folded_where_it_is_asked_for() {
    let of = |condition: Value| json!({"a": [condition]});
    check(
        "match",
        &of(json!({"equals-ignore-case": "STRASSE"})),
        &[json!({"a": "straße"}), json!({"a": "Strasse"})],
    );
    check(
        "match",
        &of(json!({"suffix": {"equals-ignore-case": ".PNG"}})),
        &[json!({"a": "x.pNg"})],
    );
    check(
        "no match",
        &of(json!({"anything-but": {"equals-ignore-case": ["X", "y"]}})),
        &[json!({"a": "x"}), json!({"a": "Y"})],
    );
    check("error", &of(json!({"equals-ignore-case": 1})), &[json!({})]);
    check(
        "error",
        &of(json!({"prefix": {"equals-ignore-case": 1}})),
        &[json!({})],
    );
}

/// A text and a wildcard made to send a backtracking matcher into exponential time.
#[test]
fn hostile_texts_take_no_long_time() {
    let text = "ab".repeat(500_000);
    let pattern = json!({"a": [{"wildcard": "*abaabb*"}]});
    let begun = std::time::Instant::now();
    check("no match", &pattern, &[json!({"a": text})]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}
