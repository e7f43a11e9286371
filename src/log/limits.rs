/// The default maximum size of a record, in bytes.
pub const DEFAULT_EVENT_BYTES: usize = 256 * 1024;

/// The default maximum size of all records of a session together, in bytes.
pub const DEFAULT_SESSION_BYTES: usize = 16 * 1024 * 1024;
