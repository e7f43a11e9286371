//! The layout of a store's files, which has a number, and the salt of its batches.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{error::DiskOpenError, files, segments};

/// The content of the file `layout`: `unbroken`, the number, the salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreLayout {
    number: u32,
    salt: u64,
}

/// The layout that this version writes.
///
/// A change of the bytes of a batch, a frame or a session's state takes the next number, and the fixture of
/// the former one stays in `tests/layouts`.
///
/// | number | new in it |
/// |---|---|
/// | 1 | |
/// | 2 | tombstones are frames of their own; the state of a sealed session has the time of its seal |
/// | 3 | the base of a session has the time for its ending in the outbox; the state of a sealed session has its ending |
///
/// Each of them can be read as the next, since what is new has a kind or a bit of its own.
pub(crate) const LATEST: u32 = 3;
/// The earliest layout that this version reads.
const EARLIEST: u32 = 1;

const NAME: &str = "layout";

impl StoreLayout {
    /// Reads the layout of a store, or creates it for a new store.
    pub(crate) fn read_or_create(path: &Path) -> Result<Self, DiskOpenError> {
        let failed = |source| DiskOpenError::Io {
            path: path.to_owned(),
            source,
        };
        match fs::read_to_string(path.join(NAME)) {
            Ok(text) => {
                let text = text.trim_end();
                Self::parse(text).ok_or_else(|| DiskOpenError::Unsupported {
                    path: path.to_owned(),
                    layout: text.to_owned(),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !segments::list(path).map_err(failed)?.is_empty() {
                    return Err(failed(io::Error::new(
                        io::ErrorKind::NotFound,
                        "there are logs but no file named layout; put it back",
                    )));
                }
                let salt = getrandom::u64().map_err(|error| failed(io::Error::other(error)))?;
                let new = Self {
                    number: LATEST,
                    // The first byte is not zero, unlike the reserved space after the end of a log.
                    salt: salt | 1,
                };
                new.write(path).map_err(failed)?;
                Ok(new)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Returns the salt of the store's batches.
    pub(crate) fn salt(self) -> u64 {
        self.salt
    }

    /// Gives a store of an earlier layout the latest number, before anything is written to it. An earlier
    /// version refuses it from then on.
    pub(crate) fn upgrade(self, path: &Path) -> io::Result<()> {
        if self.number == LATEST {
            return Ok(());
        }
        tracing::info!(
            from = self.number,
            to = LATEST,
            "the store has a new layout"
        );
        Self {
            number: LATEST,
            ..self
        }
        .write(path)
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, salt) = text.strip_prefix("unbroken ")?.split_once(' ')?;
        let layout = Self {
            number: number.parse().ok()?,
            salt: u64::from_str_radix(salt, 16).ok()?,
        };
        (EARLIEST..=LATEST)
            .contains(&layout.number)
            .then_some(layout)
    }

    /// Writes the file, whose former content stays if that fails.
    fn write(self, path: &Path) -> io::Result<()> {
        let temporary = path.join("layout.new");
        fs::write(&temporary, self.text())?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(temporary, path.join(NAME))?;
        files::sync_directory(path)
    }

    fn text(self) -> String {
        format!("unbroken {} {:016x}\n", self.number, self.salt)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the content of the file `layout` of a new store with this salt.
    pub(crate) fn latest(salt: u64) -> String {
        let number = LATEST;
        StoreLayout { number, salt }.text()
    }

    #[test]
    fn a_layout_is_known_by_its_number() {
        for number in EARLIEST..=LATEST {
            let layout = StoreLayout { number, salt: 7 };
            assert_eq!(StoreLayout::parse(layout.text().trim_end()), Some(layout));
        }
        let next = LATEST + 1;
        for unknown in [
            format!("unbroken {next} 7"),
            "unbroken 0 7".to_owned(),
            "unbroken 2".to_owned(),
            "unbroken 2 salt".to_owned(),
            "broken 2 7".to_owned(),
            String::new(),
        ] {
            assert_eq!(StoreLayout::parse(&unknown), None, "{unknown}");
        }
    }
}
