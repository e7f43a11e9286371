use serde_json::json;

use super::*;

fn fits(schema: &Value, value: &Value) -> bool {
    match check_bounded(schema, value) {
        SchemaVerdict::Fits => true,
        SchemaVerdict::Differs(_) => false,
        SchemaVerdict::Unchecked(reason) => panic!("{schema}: {reason}"),
    }
}

fn said(schema: &Value, value: &Value) -> String {
    match check_bounded(schema, value) {
        SchemaVerdict::Differs(mismatch) => mismatch.to_string(),
        other => panic!("{schema} of {value}: {other:?}"),
    }
}

#[test]
fn a_multiple_is_told_as_exactly_as_numbers_are() {
    for (of, fits, differs) in [
        (
            json!(1),
            json!([7.0, 1_000_000_000.0]),
            json!(1_000_000_000.5),
        ),
        (json!(0.01), json!([12_345_678.9]), json!(12_345_678.905)),
        // Whether 1e308 is one can't be told.
        (json!(0.1), json!([0.3, 1e308]), json!(0.05)),
    ] {
        let schema = json!({ "multipleOf": of });
        for value in fits.as_array().unwrap() {
            assert_eq!(
                check_bounded(&schema, value),
                SchemaVerdict::Fits,
                "{value}"
            );
        }
        let verdict = check_bounded(&schema, &differs);
        assert!(matches!(verdict, SchemaVerdict::Differs(_)), "{differs}");
    }
}

#[test]
fn each_keyword_decides() {
    for (schema, fitting, others) in [
        (
            json!({"type": "integer"}),
            json!([1, 1.0, -7]),
            json!([1.5, "1", null]),
        ),
        (
            json!({"type": ["string", "null"]}),
            json!(["", null]),
            json!([0, [], {}]),
        ),
        (
            json!({"enum": ["a", 1, [1], {"a": 1}]}),
            json!(["a", 1.0, [1.0], {"a": 1}]),
            json!(["b", 2, [], {"a": 1, "b": 1}]),
        ),
        (json!({"const": null}), json!([null]), json!([0, false])),
        (
            json!({"properties": {"a": {"type": "string"}}, "required": ["a"]}),
            json!([{"a": "x", "b": 1}, 7]),
            json!([{}, {"a": 1}]),
        ),
        (
            json!({"properties": {"a": true}, "additionalProperties": false}),
            json!([{}, {"a": 1}]),
            json!([{"b": 1}]),
        ),
        (
            json!({"additionalProperties": {"type": "number"}}),
            json!([{"b": 1}]),
            json!([{"b": "1"}]),
        ),
        (
            json!({"items": {"type": "number"}}),
            json!([[], [1], "x"]),
            json!([["1"], [1, null]]),
        ),
        (json!({"items": false}), json!([[], 7]), json!([[1]])),
        (
            json!({"anyOf": [{"type": "string"}, {"minimum": 3}]}),
            json!(["a", 3]),
            json!([2]),
        ),
        (
            json!({"oneOf": [{"minimum": 3}, {"type": "integer"}]}),
            json!([2, 3.5]),
            json!([4, 1.5]),
        ),
        (
            json!({"allOf": [{"minimum": 3}, {"type": "integer"}]}),
            json!([4]),
            json!([2, 3.5]),
        ),
        (
            json!({"minimum": 2, "exclusiveMaximum": 4}),
            json!([2, 3.9, "x"]),
            json!([1.9, 4]),
        ),
        (
            json!({"exclusiveMinimum": 2, "maximum": 4}),
            json!([2.1, 4]),
            json!([2, 4.1]),
        ),
        (
            json!({"minimum": 9_007_199_254_740_993_u64}),
            json!([9_007_199_254_740_993_u64]),
            json!([9_007_199_254_740_992_u64]),
        ),
        (json!({"multipleOf": 0.1}), json!([0.3, 7]), json!([0.35])),
        (json!({"multipleOf": 3}), json!([0, 9, -3]), json!([10])),
        (
            json!({"minLength": 2, "maxLength": 3}),
            json!(["ää", "😀😀😀"]),
            json!(["ä", "abcd"]),
        ),
        (
            json!({"minItems": 1, "maxItems": 2}),
            json!([[1], [1, 2]]),
            json!([[], [1, 2, 3]]),
        ),
        (
            json!({"minProperties": 1, "maxProperties": 1}),
            json!([{"a": 1}]),
            json!([{}, {"a": 1, "b": 2}]),
        ),
        (json!(true), json!([1]), json!([])),
        (
            json!({"title": "a", "format": "email", "description": "b"}),
            json!(["no email"]),
            json!([]),
        ),
    ] {
        for value in fitting.as_array().unwrap() {
            assert!(fits(&schema, value), "{schema} of {value}");
        }
        for value in others.as_array().unwrap() {
            assert!(!fits(&schema, value), "{schema} of {value}");
        }
    }
    assert!(!fits(&json!(false), &json!(1)));
}

#[test]
fn references_are_followed_and_may_be_recursive() {
    let tree = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/node",
        "definitions": {"node": {
            "type": "object", "required": ["next"],
            "properties": {"next": {"anyOf": [{"$ref": "#/definitions/node"}, {"type": "null"}]}},
        }},
    });
    let deep = (0..100).fold(json!(null), |inner, _| json!({"next": inner}));
    assert!(fits(&tree, &deep));
    let wrong = (0..20).fold(json!(7), |inner, _| json!({"next": inner}));
    assert!(said(&tree, &wrong).starts_with("/next: fits none"));
    let whole = json!({"type": ["array", "string"], "items": {"$ref": "#"}});
    assert!(fits(&whole, &json!([["a"], "b", []])));
    assert!(!fits(&whole, &json!([["a"], [7]])));
}

#[test]
fn a_mismatch_names_places_and_repeats_no_value() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["a/b", "more"],
        "properties": {"a/b": {"items": {"type": "string"}}},
    });
    let said = said(&schema, &json!({"a/b": ["x", 4711], "extra": "s3cret"}));
    for part in [
        "/a~1b/1: has another type",
        "/extra: no value",
        "as a whole: \"more\" is missing",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("4711") && !said.contains("s3cret"), "{said}");
    let many = self::said(
        &json!({"items": {"type": "string"}}),
        &json!([1, 2, 3, 4, 5, 6, 7]),
    );
    assert_eq!(many.matches('/').count(), 5);
    assert!(many.ends_with("; and more"), "{many}");
}

#[test]
fn what_is_not_in_the_subset_is_not_checked_by() {
    for schema in [
        json!({"pattern": "^a"}),
        json!({"not": {"type": "string"}}),
        json!({"items": [{"type": "string"}]}),
        json!({"properties": {"a": {"if": true}}}),
        json!({"anyOf": [{"uniqueItems": true}]}),
        json!({"anyOf": []}),
        json!({"type": "text"}),
        json!({"type": []}),
        json!({"minLength": -1}),
        json!({"multipleOf": 0}),
        json!({"exclusiveMinimum": true}),
        json!({"required": [1]}),
        json!({"$ref": "http://a.b/c"}),
        json!({"$ref": "#/$defs/absent"}),
        json!({"$ref": "#/enum/0", "enum": [{"pattern": "a"}]}),
        json!({"$ref": "#node", "$defs": {"a": {"$anchor": "node"}}}),
        json!({"$id": "http://a.b", "type": "string"}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
        json!({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": true},
            "items": {"$ref": "#/definitions/a", "type": "string"}}),
        json!({"nullable": true, "type": "string"}),
        json!([]),
        json!("string"),
    ] {
        let verdict = check_bounded(&schema, &json!("x"));
        assert!(
            matches!(
                verdict,
                SchemaVerdict::Unchecked(UncheckedReason::Keyword(_))
            ),
            "{schema}: {verdict:?}"
        );
    }
}

fn gives_up(schema: &Value, value: &Value) {
    let verdict = check_bounded(schema, value);
    assert_eq!(verdict, SchemaVerdict::Unchecked(UncheckedReason::Steps));
}

/// Returns a schema of so many definitions, each of which names the next one twice.
fn doubling(keyword: &str, levels: usize) -> Value {
    let mut defs = serde_json::Map::new();
    for level in 0..levels {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        defs.insert(format!("d{level}"), json!({keyword: [next, next]}));
    }
    defs.insert(format!("d{levels}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/d0", "$defs": defs})
}

#[test]
fn references_that_double_end_at_the_limit() {
    // With few levels it is checked; each further one doubles the work.
    assert!(fits(&doubling("allOf", 10), &json!("a")));
    assert!(fits(&doubling("anyOf", 90), &json!("a")));
    gives_up(&doubling("allOf", 40), &json!("a"));
    gives_up(&doubling("oneOf", 40), &json!("a"));
    gives_up(&doubling("anyOf", 40), &json!(7));
}

#[test]
fn alternatives_in_nested_lists_end_at_the_limit() {
    let list = json!({"type": "array", "items": {"$ref": "#"}});
    let schema = json!({"anyOf": [list, list, {"type": "string"}]});
    let nested = |depth| (0..depth).fold(json!(7), |inner, _| json!([inner]));
    assert!(!fits(&schema, &nested(8)));
    gives_up(&schema, &nested(60));
}

#[test]
fn a_schema_that_is_itself_ends() {
    gives_up(&json!({"$ref": "#"}), &json!(7));
    gives_up(&json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), &json!(7));
    gives_up(&json!({"anyOf": [{"$ref": "#"}]}), &json!([[[]]]));
}

#[test]
fn long_lists_of_values_texts_and_names_count() {
    let long = |last: &str| format!("{}{last}", "x".repeat(1000));
    let values: Vec<_> = (0..500).map(|at| long(&format!("{at:03}"))).collect();
    gives_up(
        &json!({"items": {"enum": values}}),
        &json!(vec![&values[499]; 100]),
    );
    let text = "x".repeat(100_000);
    gives_up(&json!({"items": {"minLength": 1}}), &json!(vec![text; 200]));
    let names: Vec<_> = (0..100).map(|at| format!("{at:0320}")).collect();
    let object: Value = names.iter().map(|name| (name.clone(), json!(1))).collect();
    let objects = json!(vec![object; 500]);
    gives_up(&json!({"items": {"required": names}}), &objects);
    gives_up(&json!({"items": {"additionalProperties": true}}), &objects);
    gives_up(&json!({"items": {"const": objects[0]}}), &objects);
}

#[cfg(feature = "tools")]
mod beside_the_compiler {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::chat::Schema;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (-3..4_i64).prop_map(Value::from),
            select(vec![json!(0.5), json!(2.0), json!(-1.5)]),
            select(vec!["", "a", "b", "ab", "ä😀"]).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Value::from),
                vec((select(vec!["a", "b", "c"]), inner), 0..3)
                    .prop_map(|it| it.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
        })
    }

    fn schema() -> impl Strategy<Value = Value> {
        let one = select(vec![
            "string", "number", "integer", "boolean", "object", "array", "null",
        ]);
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            one.prop_map(|name| json!({"type": name})),
            vec(value(), 1..3).prop_map(|values| json!({"enum": values})),
            value().prop_map(|value| json!({"const": value})),
            (
                select(vec![
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "minLength",
                    "maxLength",
                    "minItems",
                    "maxItems",
                    "minProperties",
                    "maxProperties",
                ]),
                0..3_u64
            )
                .prop_map(|(name, bound)| json!({name: bound})),
            Just(json!({"$ref": "#/$defs/d"})),
            Just(json!({"multipleOf": 2})),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            let some = vec(inner.clone(), 1..3);
            prop_oneof![
                (select(vec!["anyOf", "oneOf", "allOf"]), some)
                    .prop_map(|(name, schemas)| json!({name: schemas})),
                inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
                (inner.clone(), inner, any::<bool>()).prop_map(|(a, rest, is_required)| {
                    let required = if is_required { vec!["a"] } else { vec![] };
                    json!({"properties": {"a": a}, "additionalProperties": rest, "required": required})
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn verdicts_are_those_of_the_compiled_schema(root in schema(), named in schema(), values in vec(value(), 1..6)) {
            let mut root = json!({"allOf": [root]});
            // It refers to nothing, so that no check is endless.
            let named: Value = serde_json::from_str(&named.to_string().replace("#/$defs/d", "#/$defs/e")).unwrap();
            root["$defs"] = json!({"d": Value::clone(&named), "e": {"type": "string"}});
            let compiled = Schema::new(&root).unwrap();
            for value in values {
                let expected = compiled.check(&value).is_ok();
                prop_assert_eq!(fits(&root, &value), expected, "{} of {}", root, value);
            }
        }
    }
}
