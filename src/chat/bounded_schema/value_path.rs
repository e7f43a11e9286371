use std::fmt;

/// The place of a part of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValuePath<'a> {
    Root,
    Member(&'a ValuePath<'a>, &'a str),
    Element(&'a ValuePath<'a>, usize),
}

impl fmt::Display for ValuePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(parent, name) => {
                write!(f, "{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Element(parent, at) => write!(f, "{parent}/{at}"),
        }
    }
}
