//! Negotiates the representation from the header `Accept` (RFC 9110, 12.5.1).

use http::{HeaderMap, header};

/// A representation of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Representation {
    /// A stream.
    Streaming(StreamFormat),
    /// A document.
    Json,
}

/// The format of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFormat {
    Ndjson,
    Sse,
}

pub(super) const NDJSON: &str = "application/x-ndjson";
pub(super) const SSE: &str = "text/event-stream";
pub(super) const JSON: &str = "application/json";

const NDJSON_FIRST: [(&str, Representation); 3] = [
    (NDJSON, Representation::Streaming(StreamFormat::Ndjson)),
    (SSE, Representation::Streaming(StreamFormat::Sse)),
    (JSON, Representation::Json),
];

/// Returns the best representation under the headers `Accept`, or `None` if there is none.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<Representation> {
    let ranges: Vec<MediaRange<'_>> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|range| !range.trim().is_empty())
        .map(MediaRange::parse)
        .collect();
    if ranges.is_empty() {
        return Some(NDJSON_FIRST[0].1);
    }
    let streaming_is_named = ranges
        .iter()
        .any(|range| range.quality > 0 && [NDJSON, SSE].iter().any(|it| range.is_exactly(it)));
    let mut best = None;
    for (mime, representation) in NDJSON_FIRST {
        let quality = quality(&ranges, mime);
        let barred = representation == Representation::Json && streaming_is_named;
        if quality > best.map_or(0, |(quality, _)| quality) && !barred {
            best = Some((quality, representation));
        }
    }
    best.map(|(_, representation)| representation)
}

/// Returns the quality, in thousandths, from the most specific range that covers `mime`.
fn quality(ranges: &[MediaRange<'_>], mime: &str) -> u16 {
    ranges
        .iter()
        .filter_map(|range| Some((range.covers(mime)?, range.quality)))
        // Of two ranges of equal specificity, the better quality counts.
        .max()
        .map_or(0, |(_, quality)| quality)
}

struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mime = parts.next().unwrap_or_default();
        let (kind, subtype) = mime.split_once('/').unwrap_or((mime, ""));
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, value)| thousandths(value.trim()));
        Self {
            kind,
            subtype,
            quality,
        }
    }

    fn is_exactly(&self, mime: &str) -> bool {
        self.covers(mime) == Some(2)
    }

    /// Returns how specifically the range covers `mime`: 2 is exact; `None` if it doesn't.
    fn covers(&self, mime: &str) -> Option<u8> {
        let (kind, subtype) = mime.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some(1),
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

/// Parses a quality value; an invalid one counts as 0.
fn thousandths(value: &str) -> u16 {
    match value.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000"
        )]
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::{Representation::*, StreamFormat::*, *};

    fn of(accept: &'static str) -> Option<Representation> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        negotiate(&headers)
    }

    #[test]
    fn without_a_preference_it_is_ndjson() {
        assert_eq!(negotiate(&HeaderMap::new()), Some(Streaming(Ndjson)));
        for any in ["*/*", "", "application/*", "*/*;q=0.1", "*/*, text/html"] {
            assert_eq!(of(any), Some(Streaming(Ndjson)), "{any}");
        }
    }

    #[test]
    fn the_highest_quality_wins_and_ties_are_ordered() {
        for (accept, representation) in [
            ("application/x-ndjson", Streaming(Ndjson)),
            ("text/event-stream", Streaming(Sse)),
            ("Text/Event-Stream", Streaming(Sse)),
            ("text/*", Streaming(Sse)),
            ("application/json", Json),
            ("text/event-stream, application/x-ndjson", Streaming(Ndjson)),
            (
                "text/event-stream;q=0.9, application/x-ndjson;q=0.8",
                Streaming(Sse),
            ),
            ("text/event-stream, */*;q=0.5", Streaming(Sse)),
            ("application/x-ndjson;q=0, */*", Streaming(Sse)),
            ("application/json;q=0.5, */*;q=0.1", Json),
            (
                "application/json, text/plain, */*",
                Streaming(Ndjson), // a tie, and no range says otherwise
            ),
            ("application/json; charset=utf-8 ; Q=0.3", Json),
            ("text/html, application/json;q=0.001", Json),
        ] {
            assert_eq!(of(accept), Some(representation), "{accept}");
        }
    }

    #[test]
    fn json_is_chosen_only_if_no_streaming_type_is_named() {
        assert_eq!(
            of("application/json, text/event-stream;q=0.1"),
            Some(Streaming(Sse))
        );
        assert_eq!(
            of("application/json, application/x-ndjson;q=0.1"),
            Some(Streaming(Ndjson))
        );
        assert_eq!(
            of("application/json, application/x-ndjson;q=0"),
            Some(Json),
            "a type of quality 0 is not named"
        );
    }

    #[test]
    fn other_types_have_no_representation() {
        for none in [
            "text/html",
            "*/*;q=0",
            "application/json;q=0",
            "garbage",
            "application/json;q=2",
            "image/*, application/pdf",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static(SSE));
        assert_eq!(negotiate(&headers), Some(Streaming(Sse)));
    }
}
