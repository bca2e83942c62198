//! Blocks of 32 weights with a scale and, for the types `_1`, a minimum, both halves.

use bytemuck::{Pod, Zeroable};

use super::{
    BLOCK, Block,
    bits::{affine, affine_five_bits, affine_nibbles, five_bits, nibbles, plane_of_bits},
    floats::f16_to_f32,
    integers::Unpack,
};

/// Byte i of `quants` holds weight i and, in its high nibble, weight i + 16.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q4_0 {
    d: [u8; 2],
    quants: [u8; 16],
}

impl Block<BLOCK> for Q4_0 {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        let d = f16_to_f32(self.d);
        affine_nibbles(&self.quants, d, -8.0 * d, out);
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.extend(block.d);
        }
    }
}

impl Unpack<BLOCK> for Q4_0 {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        quants[0] = nibbles(&self.quants);
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let d = f16_to_f32(self.d);
        (scales[0], offsets[0]) = ([d; 2], [-8.0 * d; 2]);
    }
}

/// As [`Q4_0`].
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q4_1 {
    d: [u8; 2],
    m: [u8; 2],
    quants: [u8; 16],
}

impl Block<BLOCK> for Q4_1 {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        affine_nibbles(&self.quants, f16_to_f32(self.d), f16_to_f32(self.m), out);
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.extend([block.d, block.m].as_flattened());
        }
    }
}

impl Unpack<BLOCK> for Q4_1 {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        quants[0] = nibbles(&self.quants);
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, m) = (f16_to_f32(self.d), f16_to_f32(self.m));
        (scales[0], offsets[0]) = ([d; 2], [m; 2]);
    }
}

/// Bit i of `high` is the fifth bit of weight i; the others are as in [`Q4_0`].
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q5_0 {
    d: [u8; 2],
    high: [u8; 4],
    quants: [u8; 16],
}

impl Block<BLOCK> for Q5_0 {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        let d = f16_to_f32(self.d);
        affine_five_bits(nibbles(&self.quants), self.high, d, -16.0 * d, out);
    }

    /// Scales of two blocks: the two halves, then the two planes of high bits.
    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for pair in super_block.chunks(2) {
            scales.extend(pair[0].d);
            scales.extend(pair.get(1).map_or([0; 2], |second| second.d));
            for block in pair {
                quants.extend(block.quants);
                scales.extend(plane_of_bits(block.high));
            }
        }
    }
}

impl Unpack<BLOCK> for Q5_0 {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        quants[0] = five_bits(nibbles(&self.quants), self.high);
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let d = f16_to_f32(self.d);
        (scales[0], offsets[0]) = ([d; 2], [-16.0 * d; 2]);
    }
}

/// As [`Q5_0`].
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q5_1 {
    d: [u8; 2],
    m: [u8; 2],
    high: [u8; 4],
    quants: [u8; 16],
}

impl Block<BLOCK> for Q5_1 {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        let (d, m) = (f16_to_f32(self.d), f16_to_f32(self.m));
        affine_five_bits(nibbles(&self.quants), self.high, d, m, out);
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.extend([block.d, block.m].as_flattened());
            scales.extend(plane_of_bits(block.high));
        }
    }
}

impl Unpack<BLOCK> for Q5_1 {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        quants[0] = five_bits(nibbles(&self.quants), self.high);
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, m) = (f16_to_f32(self.d), f16_to_f32(self.m));
        (scales[0], offsets[0]) = ([d; 2], [m; 2]);
    }
}

/// Signed bytes.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Q8_0 {
    d: [u8; 2],
    quants: [u8; 32],
}

impl Block<BLOCK> for Q8_0 {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; BLOCK]) {
        affine(self.quants, f16_to_f32(self.d), 0.0, out);
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            quants.extend(block.quants);
            scales.extend(block.d);
        }
    }
}

impl Unpack<BLOCK> for Q8_0 {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        quants[0] = self.quants;
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let d = f16_to_f32(self.d);
        (scales[0], offsets[0]) = ([d; 2], [0.0; 2]);
    }
}

#[cfg(test)]
mod tests {
    use crate::quant::{
        WeightType,
        bits::{nibble_plane, nibbles},
    };
    use half::f16;

    fn f16_bytes(value: f32) -> [u8; 2] {
        f16::from_f32(value).to_le_bytes()
    }

    #[test]
    fn q4_blocks_by_hand() {
        let mut block = vec![];
        block.extend(f16_bytes(0.5));
        block.extend((0..16).map(|i| i | (15 - i) << 4));
        let mut out = [0.0; 32];
        WeightType::Q4_0.dequantize(&block, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (-4.0, 3.5, 3.5, -4.0));
        block.splice(2..2, f16_bytes(1.0));
        WeightType::Q4_1.dequantize(&block, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (1.0, 8.5, 8.5, 1.0));
    }

    #[test]
    fn the_plane_of_nibbles_is_how_the_file_has_them() {
        let bytes = std::array::from_fn(|i| (i * 37) as u8);
        assert_eq!(nibble_plane(&nibbles(&bytes)), bytes);
    }
}
