use std::collections::HashSet;

// A server can make kinds up.
const MAX_KINDS: usize = 32;

/// What of an answer was dropped because of its shape. Each kind is traced once.
#[derive(Debug, Default)]
pub(super) struct DroppedKinds {
    traced: HashSet<String>,
}

impl DroppedKinds {
    /// Notes a field, or an event, that is dropped.
    pub(super) fn note(&mut self, kind: &str) {
        if self.traced.len() < MAX_KINDS && self.traced.insert(kind.to_owned()) {
            tracing::warn!(
                kind,
                "the model's server sent something that is dropped; the answer goes on"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span::{Attributes, Id, Record},
        subscriber::with_default,
    };

    use crate::{decode::Decoder, frames::ServerFrame, turn::TurnSoFar, wire_format::WireFormat};

    /// Keeps the kinds that are traced.
    #[derive(Clone, Default)]
    struct KindsTraced(Arc<Mutex<Vec<String>>>);

    impl Subscriber for KindsTraced {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    impl Visit for KindsTraced {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "kind" {
                self.0.lock().unwrap().push(value.to_owned());
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    }

    fn traced(wire: WireFormat, frames: &[&str]) -> Vec<String> {
        let kinds = KindsTraced::default();
        with_default(kinds.clone(), || {
            let turn = TurnSoFar::new(&[], 1 << 20);
            let mut decoder = Decoder::new(wire, "openai", turn, None);
            for data in frames.iter().flat_map(|frame| [frame; 2]) {
                let (name, data) = (None, (*data).to_owned());
                let frame = ServerFrame { name, data };
                decoder.frame(&frame, &mut VecDeque::new()).unwrap();
            }
        });
        let kinds = kinds.0.lock().unwrap();
        kinds.clone()
    }

    #[test]
    fn each_kind_of_what_is_dropped_is_traced_once() {
        let kinds = traced(
            WireFormat::Chat,
            &[
                r#"{"choices":[{"index":0,"delta":{"content":true}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[7],"content":[{"type":"odd"}]}}]}"#,
                r#"{"choices":[{"index":2,"delta":{"content":"x"}}],"usage":{}}"#,
            ],
        );
        assert_eq!(kinds, ["content", "tool_calls", "usage", "a second choice"]);
        let kinds = traced(
            WireFormat::Responses,
            &[
                r#"{"type":"response.new.event"}"#,
                r#"{"type":"response.Other, with words"}"#,
                r#"{"type":"response.content_part.added"}"#,
                r#"{"type":"response.web_search_call.searching"}"#,
                r#"{"type":"ping"}"#,
            ],
        );
        let expected = [
            "response.new.event",
            "response.?",
            "an event of another protocol",
        ];
        assert_eq!(kinds, expected);
        let many: Vec<_> = (0..40)
            .map(|number| {
                let letters = "abcdefgh".split_at(number % 8).1.repeat(number / 8 + 1);
                format!(r#"{{"type":"response.{letters}"}}"#)
            })
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(traced(WireFormat::Responses, &many).len(), super::MAX_KINDS);
    }
}
