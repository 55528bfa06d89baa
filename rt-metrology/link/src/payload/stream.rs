//! Class *stream*: detail that may be lost, never silently.

/// Room for items in one chunk, bytes: 996 less the chunk's head of 28.
pub const STREAM_DATA: usize = 968;

/// What a stream carries. The bit of a kind in a subscription is `1 << kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum StreamKind {
    /// RMS over one cycle, renewed each half-cycle: per item a u32 for each channel of the mask (mV, µA).
    #[default]
    HalfCycleRms = 0,
    /// Quantities of one 10/12-cycle window: per item one encoded `Second`.
    Window200ms = 1,
    /// Spectra of 10/12-cycle windows: per item one channel. Its number (u8), the periods in the window (u8), 16 bits
    /// of zero, then f32 in V or A: direct component, subgroups of orders 1 to 50, interharmonic centred subgroups above
    /// orders 0 to 50. A coprocessor without the memory for it accepts a subscription and stays silent.
    Spectrum = 2,
    /// Raw samples: per item a 24-bit signed integer for each channel of the mask.
    Raw = 3,
}

impl StreamKind {
    /// Number of kinds.
    pub const COUNT: usize = 4;
    /// All kinds, in the order of their numbers.
    pub const ALL: [StreamKind; Self::COUNT] = [Self::HalfCycleRms, Self::Window200ms, Self::Spectrum, Self::Raw];

    /// The bit in a subscription.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A run of consecutive items of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamChunk {
    /// Which stream.
    pub kind: StreamKind,
    /// Channels in each item, bit per channel; 0 when the items are not per channel.
    pub channels: u8,
    /// Items in the chunk.
    pub count: u16,
    /// Number of the subscribe command that started the stream.
    pub subscription: u32,
    /// Number of the first item since the subscription, from 0. A jump is a loss, on the link or at the source.
    pub first: u64,
    /// Sample clock of the first item.
    pub t_samples: u64,
    /// Bytes of `data` that count.
    pub len: u16,
    /// The items; bytes from `len` on are zero.
    pub data: [u8; STREAM_DATA],
}

impl Default for StreamChunk {
    fn default() -> StreamChunk {
        StreamChunk {
            kind: StreamKind::HalfCycleRms,
            channels: 0,
            count: 0,
            subscription: 0,
            first: 0,
            t_samples: 0,
            len: 0,
            data: [0; STREAM_DATA],
        }
    }
}

impl StreamChunk {
    /// The bytes that count.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or(&self.data)
    }
}
