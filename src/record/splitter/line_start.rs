/// The start of a line of an event stream, which tells what the line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LineStart {
    /// Nothing yet.
    #[default]
    Empty,
    /// The first letters of a field's name.
    Name {
        field: Field,
        letters: usize,
    },
    Field(Field),
    Comment,
    /// A field without a meaning, or no field at all.
    Other,
}

/// A field that has a meaning in an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Event,
    Id,
    Retry,
}

impl Field {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Data => b"data",
            Self::Event => b"event",
            Self::Id => b"id",
            Self::Retry => b"retry",
        }
    }

    /// Returns the field whose name begins with this letter.
    const fn beginning_with(letter: u8) -> Option<Self> {
        match letter {
            b'd' => Some(Self::Data),
            b'e' => Some(Self::Event),
            b'i' => Some(Self::Id),
            b'r' => Some(Self::Retry),
            _ => None,
        }
    }
}

impl LineStart {
    /// Takes the next bytes of the line. Looks at no more of them than it needs.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.is_settled() {
                return;
            }
            self.push(byte);
        }
    }

    /// Takes the next byte of the line.
    pub(super) fn push(&mut self, byte: u8) {
        *self = match *self {
            Self::Empty if byte == b':' => Self::Comment,
            Self::Empty => match Field::beginning_with(byte) {
                Some(field) => Self::Name { field, letters: 1 },
                None => Self::Other,
            },
            Self::Name { field, letters } => match field.name().get(letters) {
                Some(&letter) if letter == byte => Self::Name {
                    field,
                    letters: letters + 1,
                },
                None if byte == b':' => Self::Field(field),
                _ => Self::Other,
            },
            settled => settled,
        };
    }

    /// Ends the line, and returns what it is: no `Name`. The next line begins.
    pub(super) fn end(&mut self) -> Self {
        match std::mem::take(self) {
            Self::Name { field, letters } if letters == field.name().len() => Self::Field(field),
            Self::Name { .. } => Self::Other,
            settled => settled,
        }
    }

    const fn is_settled(self) -> bool {
        matches!(self, Self::Field(_) | Self::Comment | Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_its_name() {
        let field = LineStart::Field;
        for (line, expected) in [
            ("", LineStart::Empty),
            (":", LineStart::Comment),
            (": data: x", LineStart::Comment),
            ("data", field(Field::Data)),
            ("data:", field(Field::Data)),
            ("data: id: x", field(Field::Data)),
            ("event:x", field(Field::Event)),
            ("id", field(Field::Id)),
            ("retry: 1", field(Field::Retry)),
            ("dat", LineStart::Other),
            ("datas: x", LineStart::Other),
            ("data : x", LineStart::Other),
            ("Data: x", LineStart::Other),
            (" data: x", LineStart::Other),
            ("identity: x", LineStart::Other),
            ("{}", LineStart::Other),
        ] {
            let mut start = LineStart::default();
            start.extend(line.as_bytes());
            assert_eq!(start.end(), expected, "{line:?}");
            assert_eq!(start, LineStart::Empty);
        }
    }
}
