use unbroken::durable::ClientMedia;

/// The types of pictures that the chat examples take. They are pixels only: an SVG is a document, which
/// may hold scripts.
pub(crate) const TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];
/// The most bytes of one picture.
pub(crate) const BYTES: usize = 3_000_000;
/// The most bytes of all pictures of a request. The page sends the whole conversation each time, so the
/// pictures of earlier messages count.
pub(crate) const TOTAL_BYTES: usize = 6_000_000;
/// The most pictures of a request.
pub(crate) const COUNT: usize = 8;

/// The most bytes of a request to a chat example: its pictures in base64, and 1 MiB for the rest.
pub const MAX_BODY: usize = TOTAL_BYTES.div_ceil(3) * 4 + 1024 * 1024;

/// Returns the pictures that the chat examples take. The page refuses others before it sends them.
pub fn pictures() -> ClientMedia {
    ClientMedia::of(TYPES)
        .max_bytes(BYTES)
        .max_total_bytes(TOTAL_BYTES)
        .max_count(COUNT)
}
