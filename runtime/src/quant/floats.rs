//! The types that are numbers as they stand: F32, F16 and BF16. Also the conversion of the halves that
//! scale the blocks of the other types.

/// See [`WeightType::F32`](super::WeightType::F32).
#[inline(always)]
pub(super) fn f32(bytes: &[u8], out: &mut [f32]) {
    for (o, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *o = f32::from_le_bytes(*b);
    }
}

/// See [`WeightType::F16`](super::WeightType::F16).
#[inline(always)]
pub(super) fn f16(bytes: &[u8], out: &mut [f32]) {
    for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *o = f16_to_f32(*b);
    }
}

/// See [`WeightType::BF16`](super::WeightType::BF16).
#[inline(always)]
pub(super) fn bf16(bytes: &[u8], out: &mut [f32]) {
    for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *o = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
    }
}

/// Exact for every half, infinities and NaN included, without the run-time feature check that
/// `half`'s own conversion makes for each value, which cost a quarter of the dequantisation.
#[inline(always)]
pub(super) fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    let h = u32::from(u16::from_le_bytes(bytes));
    let (sign, rest) = ((h & 0x8000) << 16, (h & 0x7fff) << 13);
    // 2^112 moves the exponent's bias from 15 to 127 and makes subnormals normal.
    let finite = f32::from_bits(rest) * f32::from_bits(0x7780_0000);
    let special = rest | 0x7f80_0000;
    let bits = if rest >= 0x7c00 << 13 { special } else { finite.to_bits() };
    f32::from_bits(bits | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_converts_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits.to_le_bytes()), half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:#06x}");
        }
    }
}
