/// An event source, written after the standard alone: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
#[derive(Debug, Clone, Default)]
pub(super) struct EventSource {
    pub(super) received: Vec<ReceivedEvent>,
    pub(super) last_event_id: String,
    /// The number of empty lines that ended no field with a meaning.
    pub(super) stray_ends: usize,
    /// Keeps the id over a reconnection, as browsers do. The standard begins with an empty one.
    pub(super) keeps_id: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReceivedEvent {
    pub(super) name: String,
    pub(super) data: String,
    pub(super) id: String,
}

impl EventSource {
    /// Receives the body of one connection, up to where it was cut.
    pub(super) fn receive(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (mut data, mut name) = (String::new(), String::new());
        let mut id = if self.keeps_id {
            self.last_event_id.clone()
        } else {
            String::new()
        };
        let mut fields = 0;
        while let Some(end) = rest.find(['\r', '\n']) {
            let (line, after) = rest.split_at(end);
            rest = after.strip_prefix("\r\n").unwrap_or(&after[1..]);
            if line.is_empty() {
                self.stray_ends += usize::from(fields == 0);
                fields = 0;
                self.last_event_id.clone_from(&id);
                let (name, mut data) = (std::mem::take(&mut name), std::mem::take(&mut data));
                if data.is_empty() {
                    continue;
                }
                data.pop();
                self.received.push(ReceivedEvent {
                    name: if name.is_empty() {
                        "message".to_owned()
                    } else {
                        name
                    },
                    data,
                    id: id.clone(),
                });
                continue;
            }
            if line.starts_with(':') {
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            fields += usize::from(["data", "event", "retry"].contains(&field));
            match field {
                "event" => value.clone_into(&mut name),
                "data" => {
                    data.push_str(value);
                    data.push('\n');
                }
                "id" if !value.contains('\0') => value.clone_into(&mut id),
                _ => {}
            }
        }
    }

    /// Returns the names and the data of all events.
    pub(super) fn contents(&self) -> Vec<(&str, &str)> {
        let events = self.received.iter();
        events.map(|it| (&*it.name, &*it.data)).collect()
    }
}

#[test]
fn the_example_of_the_standard_has_its_events() {
    let mut source = EventSource::default();
    source.receive(
        b"\xef\xbb\xbf: test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata\n\n\
          data\ndata\n\nevent: add\rdata: x\r\rdata: cut\n",
    );
    assert_eq!(
        source.contents(),
        [
            ("message", "first event"),
            ("message", "second event"),
            ("message", " third event"),
            ("message", ""),
            ("message", "\n"),
            ("add", "x"),
        ]
    );
    let ids: Vec<_> = source.received.iter().map(|it| &*it.id).collect();
    assert_eq!(ids, ["1", "", "", "", "", ""]);
    assert_eq!(source.stray_ends, 1);
}
