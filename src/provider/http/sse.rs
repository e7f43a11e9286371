use super::failure::too_long;
use crate::chat::{JsonDepth, ProviderError};

// The names of events that have a meaning are short.
const MAX_NAME: usize = 64;

/// The server-sent event that is being read.
#[derive(Debug)]
pub(crate) struct SseEvent {
    /// The event's name; cut if it is long.
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) max: usize,
    has_data: bool,
    whole: bool,
    first_line: bool,
}

/// The meaning of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SseLine<'a> {
    /// It completes an event.
    Event,
    /// It is a field of an event, a comment, or the empty line of no event.
    Field,
    /// It is none of these.
    Stray(&'a [u8]),
}

impl SseEvent {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            name: String::new(),
            data: Vec::new(),
            max,
            has_data: false,
            whole: false,
            first_line: true,
        }
    }

    /// Takes a line. After [`SseLine::Event`] the event is there until the next line.
    ///
    /// # Errors
    ///
    /// If there is too much data.
    pub(crate) fn take<'a>(&mut self, mut line: &'a [u8]) -> Result<SseLine<'a>, ProviderError> {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if std::mem::take(&mut self.whole) {
            self.data.clear();
            self.name.clear();
            self.has_data = false;
        }
        if line.is_empty() {
            self.whole = true;
            return Ok(if self.has_begun() {
                SseLine::Event
            } else {
                SseLine::Field
            });
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add(value)?,
            b"event" => {
                let name = String::from_utf8_lossy(&value[..value.len().min(MAX_NAME)]);
                self.name = name.into_owned();
            }
            // No field of the standard: llama.cpp's word for an error in the middle of a stream.
            b"error" => {
                self.name.clear();
                self.name.push_str("error");
                self.data.clear();
                self.has_data = false;
                self.add(value)?;
            }
            // A comment, and fields without a meaning here.
            b"" | b"id" | b"retry" => {}
            _ => return Ok(SseLine::Stray(line)),
        }
        Ok(SseLine::Field)
    }

    /// Returns true if there is an event. One of the name `error` needs no data.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_data || self.name == "error"
    }

    fn add(&mut self, value: &[u8]) -> Result<(), ProviderError> {
        let line_break = usize::from(self.has_data);
        if self.data.len() + line_break + value.len() > self.max {
            return Err(too_long(self.max));
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(())
    }
}

/// JSON that stands in a stream of events without the field `data`, on one line or several.
#[derive(Debug, Default)]
pub(crate) struct StrayJson {
    json: Vec<u8>,
    depth: JsonDepth,
}

impl StrayJson {
    /// Takes a line that is no field. Returns the JSON that it completes. Longer JSON is dropped.
    pub(crate) fn take(&mut self, line: &[u8], max: usize) -> Option<Vec<u8>> {
        let begins = matches!(line.trim_ascii_start(), [b'{' | b'[', ..]);
        if (self.json.is_empty() && !begins) || self.json.len() + line.len() >= max {
            *self = Self::default();
            return None;
        }
        self.json.extend_from_slice(line);
        self.json.push(b'\n');
        self.depth.pass(line);
        let whole = self.depth.is_whole();
        whole.then(|| std::mem::take(self).json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::Lines;

    fn events(text: &str, max: usize) -> Result<Vec<(String, String)>, ProviderError> {
        let mut event = SseEvent::new(max);
        let mut found = Vec::new();
        Lines::new(usize::MAX).push(text.as_bytes(), |line| {
            if event.take(line)? == SseLine::Event {
                let data = String::from_utf8(event.data.clone()).unwrap();
                found.push((event.name.clone(), data));
            }
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn events_are_read_by_the_rules_of_the_standard() {
        let text = concat!(
            "\u{feff}data: a\n",
            "data:b\r\n",
            ": a comment\n",
            "data\n",
            "data:  c\r\r",
            "event: other\nid: 7\ndatabase: x\n\n",
            "data:\n\n",
            "event: named\ndata: d\n\n",
            "\u{feff}data: no BOM here\n\n",
            "event: error\n\n",
            "data: x\nerror: {\"code\":500}\n\n",
            "data: not whole\n",
        );
        let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        assert_eq!(
            events(text, 100).unwrap(),
            [
                event("", "a\nb\n\n c"),
                event("", ""),
                event("named", "d"),
                event("error", ""),
                event("error", "{\"code\":500}")
            ]
        );
    }

    #[test]
    fn events_of_any_number_pass_if_each_is_short() {
        let event = "data: 12345\ndata: 789\n\n";
        assert!(events(&event.repeat(100), 9).is_ok());
        assert!(events(event, 8).is_err());
    }

    #[test]
    fn json_without_a_field_is_found_on_any_number_of_lines() {
        let mut stray = StrayJson::default();
        let mut found = Vec::new();
        for line in ["no json", r#"{"a":1}"#, "{", r#""b":"}""#, "}", r#""c""#] {
            found.extend(stray.take(line.as_bytes(), 100));
        }
        let found: Vec<_> = found.iter().map(|it| it.trim_ascii()).collect();
        assert_eq!(found, [&br#"{"a":1}"#[..], b"{\n\"b\":\"}\"\n}"]);
        assert_eq!(stray.take(&[b'['; 100], 100), None);
    }
}
