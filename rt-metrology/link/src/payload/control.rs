//! What each page carries besides its message: the host's cursors, and the range of the ring a record comes from.

/// Head of every host page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostControl {
    /// Sequence number of the last good page from the coprocessor.
    pub last_seq: u32,
    /// The breaker may be closed within so many milliseconds from now; 0 = no permit.
    pub permit_ms: u16,
    /// [`HostControl::WANT_HELLO`]; other bits are reserved, sent as 0 and not looked at.
    pub flags: u16,
    /// All events up to this one are committed on Linux and may be forgotten.
    pub event_ack: u64,
    /// Next event wanted; 0 = none now.
    pub event_next: u64,
    /// Next history record wanted; 0 = none now.
    pub history_next: u64,
    /// All reports up to this one are committed on Linux and may be overwritten.
    pub report_ack: u64,
    /// Next report wanted; 0 = none now.
    pub report_next: u64,
}

impl HostControl {
    /// Send the hello again.
    pub const WANT_HELLO: u16 = 1;
}

/// A record of a ring, with the range the ring held when the page was made. The range tells a lost page (the record
/// comes again) from a lost record (the ring has moved on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranged<T> {
    /// Oldest sequence number in the ring.
    pub first: u64,
    /// Newest sequence number in the ring.
    pub last: u64,
    /// The record.
    pub record: T,
}
