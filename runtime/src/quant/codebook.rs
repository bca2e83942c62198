//! Types whose four bits name one of 16 values: IQ4_NL and IQ4_XS those of a table that fits weights
//! better than even steps, MXFP4 those of a float of four bits.

use bytemuck::{Pod, Zeroable};

use super::{
    BLOCK, Block, SUPER_BLOCK,
    bits::{affine, nibbles},
    floats::f16_to_f32,
};

/// Weight = `d * value(q)`; the order is that of Q4_0.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct IQ4_NL {
    d: [u8; 2],
    quants: [u8; 16],
}

impl Block<BLOCK> for IQ4_NL {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        scaled_values(nibbles(&self.quants), f16_to_f32(self.d), out);
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.extend(block.d);
        }
    }
}

/// Weight = `d * (scale - 32) * value(q)`; the scale of block j has six bits: nibble j of `scales_low`
/// and, above it, two bits of `scales_high`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct IQ4_XS {
    d: [u8; 2],
    scales_high: [u8; 2],
    scales_low: [u8; 4],
    quants: [u8; 128],
}

impl Block<SUPER_BLOCK> for IQ4_XS {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; SUPER_BLOCK]) {
        let d = f16_to_f32(self.d);
        let (low, high) = (u32::from_le_bytes(self.scales_low), u16::from_le_bytes(self.scales_high));
        let blocks = self.quants.as_chunks().0.iter().zip(out.as_chunks_mut().0);
        for (j, (quants, out)) in blocks.enumerate() {
            let scale = (low >> (4 * j) & 15) as i8 | ((high >> (2 * j) & 3) << 4) as i8;
            scaled_values(nibbles(quants), d * f32::from(scale - 32), out);
        }
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.extend(block.d);
            scales.extend(block.scales_high);
            scales.extend(block.scales_low);
        }
    }
}

/// A polynomial that is less than 0.44 off the 16 values of the table
/// -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113, so that rounding makes it
/// exact. Unlike a look-up it is made of vector instructions everywhere.
#[inline(always)]
fn value(q: u8) -> f32 {
    /// Adding this rounds to a whole number: f32 has no bits for a fraction there.
    const WHOLE: f32 = (3 << 22) as f32;
    let x = f32::from(q as i8);
    let [c1, c2, c3, c4] = COEFFICIENTS;
    ((((c4 * x + c3) * x + c2) * x + c1) * x + (WHOLE - 127.0)) - WHOLE
}

const COEFFICIENTS: [f32; 4] = [24.5006, -1.438564, 0.03627325, 0.001448018];

/// `out[i] = value(q[i]) * d`. The hint is that of [`affine`].
#[inline(always)]
fn scaled_values(q: [u8; BLOCK], d: f32, out: &mut [f32; BLOCK]) {
    let q = std::hint::black_box(q);
    let mut values = [0.0; BLOCK];
    for i in 0..BLOCK {
        values[i] = value(q[i]) * d;
    }
    *out = values;
}

/// Weight = `2^(exponent - 128) * float(q)`, OCP Microscaling Formats 1.0 with values twice and the scale
/// half of what it says, as ggml has them; the order is that of Q4_0.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct MXFP4 {
    exponent: u8,
    quants: [u8; 16],
}

impl Block<BLOCK> for MXFP4 {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        affine(floats(nibbles(&self.quants)), half_of_power(self.exponent), 0.0, out);
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.push(block.exponent);
        }
    }
}

/// Twice the floats of a sign, two bits of exponent and one of mantissa: 0, 1, 2, 3, 4, 6, 8, 12 and
/// their negatives. The largest of three lines through them.
#[inline(always)]
fn floats(mut q: [u8; BLOCK]) -> [u8; BLOCK] {
    for q in &mut q {
        let (size, sign) = ((*q & 7) as i8, -((*q >> 3) as i8));
        let float = size.max(2 * size - 4).max(4 * size - 16);
        *q = ((float ^ sign) - sign) as u8;
    }
    q
}

/// `2^(exponent - 128)`, subnormal for 0 and 1.
#[inline(always)]
fn half_of_power(exponent: u8) -> f32 {
    match exponent {
        0 | 1 => f32::from_bits(0x0020_0000 << exponent),
        _ => f32::from_bits((u32::from(exponent) - 1) << 23),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_rounds_to_the_table() {
        let table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
        for (q, expected) in (0..).zip(table) {
            assert_eq!(value(q), expected as f32, "{q}");
        }
    }

    #[test]
    fn four_bits_are_floats() {
        let q = floats(std::array::from_fn(|i| i as u8 % 16));
        let expected = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
        assert_eq!(q[..16], expected.map(|v: i8| v as u8));
        assert_eq!(half_of_power(127), 0.5);
        assert_eq!(half_of_power(0), 2f32.powi(-128));
    }
}
