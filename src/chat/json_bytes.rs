use std::io;

use serde::Serialize;

/// Returns the number of bytes of a value as JSON, without writing it.
pub(crate) fn json_bytes(value: &(impl Serialize + ?Sized)) -> usize {
    struct ByteCounter(usize);

    impl io::Write for ByteCounter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = ByteCounter(0);
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}
