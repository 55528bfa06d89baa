//! Numbers in register fields whose values the register description does not name.

use stm32g4::{FieldSpec, FieldWriter, RegisterSpec, W, Writable};

/// See the module.
pub trait Put<'a, REG: RegisterSpec, V> {
    /// Puts a number into the field.
    fn put(self, value: V) -> &'a mut W<REG>;
}

impl<'a, REG, const BITS: u8, FI> Put<'a, REG, FI::Ux> for FieldWriter<'a, REG, BITS, FI>
where
    REG: Writable + RegisterSpec,
    FI: FieldSpec,
    REG::Ux: From<FI::Ux>,
{
    #[inline(always)]
    fn put(self, value: FI::Ux) -> &'a mut W<REG> {
        // SAFETY: a number in a register cannot break Rust's rules but for the addresses of a DMA, and those here are of
        // buffers that live for ever and that nobody touches while the DMA runs.
        unsafe { self.bits(value) }
    }
}
