/// The default maximum size of a record, in bytes.
pub const DEFAULT_EVENT_BYTES: usize = 256 * 1024;
