use std::{cmp::Ordering, fmt::Write};

use serde_json::{Map, Number, Value};

use super::{UncheckedReason, subset::target, value_path::ValuePath};

/// Further places show at the next check.
const MAX_PLACES: usize = 5;
/// The most schemas within each other on the way to a part of a value.
const MAX_DEPTH: usize = 400;

/// A walk over a value and the parts of a schema that describe it.
pub(super) struct SchemaWalk<'a> {
    root: &'a Value,
    steps: usize,
    places: String,
    told: usize,
}

/// The reason why a walk ends early.
#[derive(Debug)]
enum WalkEnd {
    /// No steps are left.
    Spent,
    /// As many places as a mismatch lists don't fit, and one more.
    Full,
}

/// A place in the walk.
#[derive(Clone, Copy)]
struct WalkPlace<'a> {
    path: &'a ValuePath<'a>,
    depth: usize,
    /// True if what doesn't fit is told. Else the first such place is the end.
    tells: bool,
}

impl<'a> SchemaWalk<'a> {
    pub(super) fn new(root: &'a Value, steps: usize) -> Self {
        Self {
            root,
            steps,
            places: String::new(),
            told: 0,
        }
    }

    /// Walks over a value. Returns the places that don't fit, if there are any.
    ///
    /// # Errors
    ///
    /// If the steps don't suffice.
    pub(super) fn run(mut self, value: &Value) -> Result<Option<String>, UncheckedReason> {
        let place = WalkPlace {
            path: &ValuePath::Root,
            depth: 0,
            tells: true,
        };
        match self.visit(self.root, value, place) {
            Ok(_) => {}
            Err(WalkEnd::Spent) => return Err(UncheckedReason::Steps),
            Err(WalkEnd::Full) => self.places.push_str("; and more"),
        }
        Ok((self.told > 0).then_some(self.places))
    }

    /// Returns true if the value fits.
    fn visit(
        &mut self,
        schema: &'a Value,
        value: &Value,
        mut place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        self.step(1)?;
        if place.depth == MAX_DEPTH {
            return Err(WalkEnd::Spent);
        }
        place.depth += 1;
        let Value::Object(keywords) = schema else {
            return Ok(schema == true || self.differs(place, "no value is expected")?);
        };
        let mut fits = true;
        for (keyword, rule) in keywords {
            self.step(1)?;
            fits &= self.keyword(keywords, keyword, rule, value, place)?;
            if !fits && !place.tells {
                break;
            }
        }
        Ok(fits)
    }

    fn keyword(
        &mut self,
        beside: &'a Map<String, Value>,
        keyword: &str,
        rule: &'a Value,
        value: &Value,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        match (keyword, rule) {
            ("type", Value::Array(types)) => {
                self.step(types.len())?;
                let is_one = types.iter().any(|it| is_of_type(value, it));
                self.expect(is_one, place, "has another type")
            }
            ("type", _) => self.expect(is_of_type(value, rule), place, "has another type"),
            ("enum", Value::Array(values)) => {
                for one in values {
                    if self.equal(one, value)? {
                        return Ok(true);
                    }
                }
                self.differs(place, "is none of the values of `enum`")
            }
            ("const", one) => {
                let is_equal = self.equal(one, value)?;
                self.expect(is_equal, place, "is another value than `const`")
            }
            ("$ref", Value::String(reference)) => {
                self.step(reference.len() / 16)?;
                match target(self.root, reference) {
                    Some(target) => self.visit(target, value, place),
                    None => Err(WalkEnd::Spent), // the scan refuses it
                }
            }
            ("allOf", Value::Array(schemas)) => {
                let mut fits = true;
                for schema in schemas {
                    fits &= self.visit(schema, value, place)?;
                    if !fits && !place.tells {
                        break;
                    }
                }
                Ok(fits)
            }
            ("anyOf" | "oneOf", Value::Array(schemas)) => {
                self.alternatives(schemas, keyword == "oneOf", value, place)
            }
            _ => match value {
                Value::Object(members) => self.object(beside, keyword, rule, members, place),
                Value::Array(elements) => self.list(keyword, rule, elements, place),
                Value::String(text) => self.text(keyword, rule, text, place),
                Value::Number(number) => self.number(keyword, rule, number, place),
                Value::Null | Value::Bool(_) => Ok(true),
            },
        }
    }

    fn alternatives(
        &mut self,
        schemas: &'a [Value],
        is_exclusive: bool,
        value: &Value,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        let quiet = WalkPlace {
            tells: false,
            ..place
        };
        let mut fitting = 0;
        for schema in schemas {
            if self.visit(schema, value, quiet)? {
                fitting += 1;
                if !is_exclusive {
                    return Ok(true);
                }
            }
        }
        match fitting {
            1 => Ok(true),
            0 => self.differs(place, "fits none of the alternatives"),
            _ => self.differs(place, "fits several of the alternatives of `oneOf`"),
        }
    }

    fn object(
        &mut self,
        beside: &'a Map<String, Value>,
        keyword: &str,
        rule: &'a Value,
        members: &Map<String, Value>,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        let mut fits = true;
        match (keyword, rule) {
            ("properties", Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    self.step(1 + name.len() / 16)?;
                    if let Some(value) = members.get(name) {
                        fits &= self.member(schema, name, value, place)?;
                    }
                }
            }
            ("additionalProperties", schema) => {
                let known = beside.get("properties").and_then(Value::as_object);
                for (name, value) in members {
                    self.step(1 + name.len() / 16)?;
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        fits &= self.member(schema, name, value, place)?;
                    }
                }
            }
            ("required", Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    self.step(1 + name.len() / 16)?;
                    if !members.contains_key(name) {
                        let name: String = name.chars().take(64).collect();
                        fits &= self.differs(place, &format!("{name:?} is missing"))?;
                    }
                }
            }
            ("minProperties" | "maxProperties", bound) => {
                return self.size(keyword, bound, members.len(), place);
            }
            _ => {}
        }
        Ok(fits)
    }

    fn member(
        &mut self,
        schema: &'a Value,
        name: &str,
        value: &Value,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        let path = &ValuePath::Member(place.path, name);
        self.visit(schema, value, WalkPlace { path, ..place })
    }

    fn list(
        &mut self,
        keyword: &str,
        rule: &'a Value,
        elements: &[Value],
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        match keyword {
            "items" => {
                let mut fits = true;
                for (at, value) in elements.iter().enumerate() {
                    let path = &ValuePath::Element(place.path, at);
                    fits &= self.visit(rule, value, WalkPlace { path, ..place })?;
                    if !fits && !place.tells {
                        break;
                    }
                }
                Ok(fits)
            }
            "minItems" | "maxItems" => self.size(keyword, rule, elements.len(), place),
            _ => Ok(true),
        }
    }

    fn text(
        &mut self,
        keyword: &str,
        rule: &Value,
        text: &str,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        if !matches!(keyword, "minLength" | "maxLength") {
            return Ok(true);
        }
        self.step(text.len() / 16)?;
        self.size(keyword, rule, text.chars().count(), place)
    }

    fn size(
        &mut self,
        keyword: &str,
        bound: &Value,
        size: usize,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        let bound = bound.as_u64().unwrap_or_default();
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let fits = if keyword.starts_with("min") {
            size >= bound
        } else {
            size <= bound
        };
        self.expect(fits, place, &format!("passes `{keyword}`"))
    }

    fn number(
        &mut self,
        keyword: &str,
        rule: &Value,
        number: &Number,
        place: WalkPlace<'_>,
    ) -> Result<bool, WalkEnd> {
        let Value::Number(bound) = rule else {
            return Ok(true);
        };
        let order = compare(number, bound);
        let fits = match keyword {
            "minimum" => order.is_none_or(Ordering::is_ge),
            "maximum" => order.is_none_or(Ordering::is_le),
            "exclusiveMinimum" => order.is_none_or(Ordering::is_gt),
            "exclusiveMaximum" => order.is_none_or(Ordering::is_lt),
            "multipleOf" => is_multiple(number, bound),
            _ => true,
        };
        self.expect(fits, place, &format!("passes `{keyword}`"))
    }

    /// Returns true if two values are equal. Numbers are if their values are: `1` and `1.0`.
    fn equal(&mut self, one: &Value, other: &Value) -> Result<bool, WalkEnd> {
        self.step(1)?;
        Ok(match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                compare(one, other).is_some_and(Ordering::is_eq)
            }
            (Value::String(one), Value::String(other)) => {
                if one.len() != other.len() {
                    return Ok(false);
                }
                self.step(one.len() / 16)?;
                one == other
            }
            (Value::Array(ones), Value::Array(others)) => {
                if ones.len() != others.len() {
                    return Ok(false);
                }
                for (one, other) in ones.iter().zip(others) {
                    if !self.equal(one, other)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Object(ones), Value::Object(others)) => {
                if ones.len() != others.len() {
                    return Ok(false);
                }
                for (name, one) in ones {
                    self.step(1 + name.len() / 16)?;
                    let Some(other) = others.get(name) else {
                        return Ok(false);
                    };
                    if !self.equal(one, other)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => one == other,
        })
    }

    fn expect(&mut self, fits: bool, place: WalkPlace<'_>, else_: &str) -> Result<bool, WalkEnd> {
        if fits {
            return Ok(true);
        }
        self.differs(place, else_)
    }

    /// Tells of a place that doesn't fit. Returns false.
    fn differs(&mut self, place: WalkPlace<'_>, what: &str) -> Result<bool, WalkEnd> {
        if !place.tells {
            return Ok(false);
        }
        if self.told == MAX_PLACES {
            return Err(WalkEnd::Full);
        }
        let separator = if self.told == 0 { "" } else { "; " };
        let path = place.path.to_string();
        let path = if path.is_empty() { "as a whole" } else { &path };
        let _ = write!(self.places, "{separator}{path}: {what}");
        self.told += 1;
        Ok(false)
    }

    fn step(&mut self, steps: usize) -> Result<(), WalkEnd> {
        self.steps = self.steps.checked_sub(steps).ok_or(WalkEnd::Spent)?;
        Ok(())
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap_or_default() {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => match value {
            Value::Number(number) => {
                !number.is_f64() || number.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            _ => false,
        },
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn is_multiple(number: &Number, of: &Number) -> bool {
    if let (Some(number), Some(of)) = (number.as_i128(), of.as_i128()) {
        return of != 0 && number % of == 0;
    }
    let (Some(number), Some(of)) = (number.as_f64(), of.as_f64()) else {
        return true;
    };
    if of.fract() == 0.0 {
        return of != 0.0 && number % of == 0.0;
    }
    let times = number / of;
    // Beyond that each number is a whole one.
    if times.abs() >= 1e15 || !times.is_finite() {
        return true;
    }
    // 0.3 is a multiple of 0.1, though not in binary.
    (times - times.round()).abs() <= times.abs() * 4.0 * f64::EPSILON
}
