use super::failure;
use crate::chat::ProviderError;

/// Splits bytes into lines, which end with CR, LF or CRLF. A line above the limit is refused before
/// it is whole.
#[derive(Debug)]
pub(crate) struct Lines {
    max: usize,
    partial: Vec<u8>,
    after_cr: bool,
}

impl Lines {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            partial: Vec::new(),
            after_cr: false,
        }
    }

    /// Passes each line that `bytes` complete to `take`, without its end.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), ProviderError>,
    ) -> Result<(), ProviderError> {
        let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
        while let Some(first) = bytes.first() {
            // The second half of a CRLF.
            if self.after_cr && *first == b'\n' {
                self.after_cr = false;
                bytes = &bytes[1..];
                continue;
            }
            self.after_cr = false;
            let end = bytes.iter().position(ends_line);
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.partial.len() + line.len() > self.max {
                return Err(failure::too_long(self.max));
            }
            let Some((end, rest)) = rest.split_first() else {
                self.partial.extend_from_slice(line);
                break;
            };
            self.after_cr = *end == b'\r';
            bytes = rest;
            if self.partial.is_empty() {
                take(line)?;
            } else {
                self.partial.extend_from_slice(line);
                let taken = take(&self.partial);
                self.partial.clear();
                taken?;
            }
        }
        Ok(())
    }

    /// Returns the bytes after the end of the last line.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, size: usize, max: usize) -> Result<(Vec<String>, String), ProviderError> {
        let (mut lines, mut found) = (Lines::new(max), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            lines.push(piece, |line| {
                found.push(String::from_utf8(line.to_vec()).unwrap());
                Ok(())
            })?;
        }
        Ok((found, String::from_utf8(lines.rest()).unwrap()))
    }

    #[test]
    fn lines_end_with_any_of_the_three_wherever_the_bytes_are_split() {
        for size in 1..20 {
            let (found, rest) = split("a\nbc\r\n\r\rd\n\r\n\ne", size, 9).unwrap();
            assert_eq!(found, ["a", "bc", "", "", "d", "", ""], "pieces of {size}");
            assert_eq!(rest, "e");
        }
    }

    #[test]
    fn a_line_is_refused_before_it_is_whole() {
        for size in 1..20 {
            assert!(split("12345\n12345\n12345", size, 5).is_ok());
            assert!(split("123456", size, 5).is_err());
            assert!(split("12345\n123456\n", size, 5).is_err());
        }
    }
}
