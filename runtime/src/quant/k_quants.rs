//! K-quants: super-blocks of 256 weights whose eight blocks of 32 (or their halves) have small whole
//! scales, which one or two halves scale again.
//!
//! On the GPU a scale keeps its bits. Six-bit scales come in pairs, one pair a block, as three words of a
//! header: see [`header`].

use bytemuck::{Pod, Zeroable};

use super::{
    BLOCK, Block, SUPER_BLOCK,
    bits::{affine, affine_halves, bit_plane, field, joined, nibble_plane, pair_plane},
    floats::f16_to_f32,
    integers::Unpack,
};

/// Blocks of a super-block.
const BLOCKS: usize = SUPER_BLOCK / BLOCK;

/// Weight = `d * scale * q - dmin * min`; q has two bits, byte i of `scales` a scale and, in its high
/// nibble, a minimum of 16 weights. Each 32 bytes of `quants` hold four blocks, the first lowest.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct Q2_K {
    scales: [u8; 16],
    quants: [u8; 64],
    d: [u8; 2],
    dmin: [u8; 2],
}

impl Q2_K {
    #[inline(always)]
    fn quants(&self, block: usize) -> [u8; BLOCK] {
        field(&self.quants.as_chunks().0[block / 4], block % 4 * 2, 3)
    }
}

impl Block<SUPER_BLOCK> for Q2_K {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; SUPER_BLOCK]) {
        let (d, dmin) = (f16_to_f32(self.d), f16_to_f32(self.dmin));
        let scales = self.scales.as_chunks::<2>().0;
        for (j, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let factors = scales[j].map(|s| d * f32::from(s & 15));
            let offsets = scales[j].map(|s| -dmin * f32::from(s >> 4));
            affine_halves(self.quants(j), factors, offsets, out);
        }
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            for j in 0..BLOCKS {
                quants.extend(pair_plane(&block.quants(j), 0));
            }
            scales.extend(block.scales);
        }
        for block in super_block {
            scales.extend([block.d, block.dmin].as_flattened());
        }
    }
}

impl Unpack<SUPER_BLOCK> for Q2_K {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = self.quants(j);
        }
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, dmin) = (f16_to_f32(self.d), f16_to_f32(self.dmin));
        let bytes = self.scales.as_chunks::<2>().0;
        for j in 0..BLOCKS {
            scales[j] = bytes[j].map(|s| d * f32::from(s & 15));
            offsets[j] = bytes[j].map(|s| -dmin * f32::from(s >> 4));
        }
    }
}

/// Weight = `d * (scale - 32) * (q - 4)`; q has three bits, the third of them in `high`: bit j of byte i
/// is that of weight i of block j. The scales have six bits, each of 16 weights.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct Q3_K {
    high: [u8; 32],
    quants: [u8; 64],
    scales: [u8; 12],
    d: [u8; 2],
}

impl Q3_K {
    #[inline(always)]
    fn quants(&self, block: usize) -> [u8; BLOCK] {
        let low = field(&self.quants.as_chunks().0[block / 4], block % 4 * 2, 3);
        joined(low, field(&self.high, block, 1), 2)
    }

    /// The low nibbles of the 16 scales, then their two high bits, lowest first.
    #[inline(always)]
    fn scales(&self) -> [[u8; 2]; BLOCKS] {
        let [a, b, high] = words(&self.scales);
        let scales = [
            a & 0x0f0f_0f0f | (high & 0x0303_0303) << 4,
            b & 0x0f0f_0f0f | (high >> 2 & 0x0303_0303) << 4,
            a >> 4 & 0x0f0f_0f0f | (high >> 4 & 0x0303_0303) << 4,
            b >> 4 & 0x0f0f_0f0f | (high >> 6 & 0x0303_0303) << 4,
        ];
        bytemuck::cast(scales.map(u32::to_le_bytes))
    }
}

impl Block<SUPER_BLOCK> for Q3_K {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; SUPER_BLOCK]) {
        let d = f16_to_f32(self.d);
        let scales = self.scales();
        for (j, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let factors = scales[j].map(|s| d * f32::from(s as i8 - 32));
            affine_halves(self.quants(j), factors, factors.map(|f| -4.0 * f), out);
        }
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            scales.extend(header([block.d, [0; 2]], block.scales()));
            for j in 0..BLOCKS {
                quants.extend(pair_plane(&block.quants(j), 0));
            }
            for j in 0..BLOCKS {
                scales.extend(bit_plane(&block.quants(j), 2));
            }
        }
    }
}

impl Unpack<SUPER_BLOCK> for Q3_K {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = self.quants(j);
        }
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, bytes) = (f16_to_f32(self.d), self.scales());
        for j in 0..BLOCKS {
            scales[j] = bytes[j].map(|s| d * f32::from(s as i8 - 32));
            offsets[j] = scales[j].map(|s| -4.0 * s);
        }
    }
}

/// Weight = `d * scale * q - dmin * min`; q has four bits, scale and minimum six. Each 32 bytes of
/// `quants` hold two blocks, the first in the low nibbles.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct Q4_K {
    d: [u8; 2],
    dmin: [u8; 2],
    scales: [u8; 12],
    quants: [u8; 128],
}

impl Q4_K {
    #[inline(always)]
    fn quants(&self, block: usize) -> [u8; BLOCK] {
        field(&self.quants.as_chunks().0[block / 2], block % 2 * 4, 15)
    }
}

impl Block<SUPER_BLOCK> for Q4_K {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; SUPER_BLOCK]) {
        let (d, dmin) = (f16_to_f32(self.d), f16_to_f32(self.dmin));
        let scales = scales_and_minima(&self.scales);
        for (j, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let [scale, min] = scales[j].map(f32::from);
            affine(self.quants(j), d * scale, -dmin * min, out);
        }
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            scales.extend(header([block.d, block.dmin], scales_and_minima(&block.scales)));
            for j in 0..BLOCKS {
                quants.extend(nibble_plane(&block.quants(j)));
            }
        }
    }
}

impl Unpack<SUPER_BLOCK> for Q4_K {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = self.quants(j);
        }
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, dmin) = (f16_to_f32(self.d), f16_to_f32(self.dmin));
        let bytes = scales_and_minima(&self.scales);
        for j in 0..BLOCKS {
            scales[j] = [d * f32::from(bytes[j][0]); 2];
            offsets[j] = [-dmin * f32::from(bytes[j][1]); 2];
        }
    }
}

/// As [`Q4_K`], with a fifth bit of q in `high`: bit j of byte i is that of weight i of block j.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct Q5_K {
    d: [u8; 2],
    dmin: [u8; 2],
    scales: [u8; 12],
    high: [u8; 32],
    quants: [u8; 128],
}

impl Q5_K {
    #[inline(always)]
    fn quants(&self, block: usize) -> [u8; BLOCK] {
        let low = field(&self.quants.as_chunks().0[block / 2], block % 2 * 4, 15);
        joined(low, field(&self.high, block, 1), 4)
    }
}

impl Block<SUPER_BLOCK> for Q5_K {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; SUPER_BLOCK]) {
        let (d, dmin) = (f16_to_f32(self.d), f16_to_f32(self.dmin));
        let scales = scales_and_minima(&self.scales);
        for (j, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let [scale, min] = scales[j].map(f32::from);
            affine(self.quants(j), d * scale, -dmin * min, out);
        }
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            scales.extend(header([block.d, block.dmin], scales_and_minima(&block.scales)));
            for j in 0..BLOCKS {
                quants.extend(nibble_plane(&block.quants(j)));
                scales.extend(bit_plane(&block.quants(j), 4));
            }
        }
    }
}

impl Unpack<SUPER_BLOCK> for Q5_K {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = self.quants(j);
        }
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, dmin) = (f16_to_f32(self.d), f16_to_f32(self.dmin));
        let bytes = scales_and_minima(&self.scales);
        for j in 0..BLOCKS {
            scales[j] = [d * f32::from(bytes[j][0]); 2];
            offsets[j] = [-dmin * f32::from(bytes[j][1]); 2];
        }
    }
}

/// Weight = `d * scale * (q - 32)`; q has six bits, scales are signed bytes, each of 16 weights. Half of
/// the bytes belong to the first four blocks: 64 of `low`, whose low nibbles hold two blocks and whose
/// high ones the next two, and 32 of `high`, the first block lowest.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub(super) struct Q6_K {
    low: [u8; 128],
    high: [u8; 64],
    scales: [u8; 16],
    d: [u8; 2],
}

impl Q6_K {
    #[inline(always)]
    fn quants(&self, block: usize) -> [u8; BLOCK] {
        let (half, block) = (block / 4, block % 4);
        let low = field(&self.low.as_chunks().0[2 * half + block % 2], block / 2 * 4, 15);
        joined(low, field(&self.high.as_chunks().0[half], block * 2, 3), 4)
    }
}

impl Block<SUPER_BLOCK> for Q6_K {
    #[inline(always)]
    fn dequantize(&self, out: &mut [f32; SUPER_BLOCK]) {
        let d = f16_to_f32(self.d);
        let scales = self.scales.as_chunks::<2>().0;
        for (j, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
            let factors = scales[j].map(|s| d * f32::from(s as i8));
            affine_halves(self.quants(j), factors, factors.map(|f| -32.0 * f), out);
        }
    }

    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        for block in super_block {
            for j in 0..BLOCKS {
                quants.extend(nibble_plane(&block.quants(j)));
            }
            for j in 0..BLOCKS {
                quants.extend(pair_plane(&block.quants(j), 4));
            }
            scales.extend(block.scales);
        }
        for block in super_block {
            scales.extend(block.d);
        }
    }
}

impl Unpack<SUPER_BLOCK> for Q6_K {
    #[inline(always)]
    fn unpack(&self, quants: &mut [[u8; BLOCK]]) {
        for (j, quants) in quants.iter_mut().enumerate() {
            *quants = self.quants(j);
        }
    }

    #[inline(always)]
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]) {
        let (d, bytes) = (f16_to_f32(self.d), self.scales.as_chunks::<2>().0);
        for j in 0..BLOCKS {
            scales[j] = bytes[j].map(|s| d * f32::from(s as i8));
            offsets[j] = scales[j].map(|s| -32.0 * s);
        }
    }
}

#[inline(always)]
fn words(bytes: &[u8; 12]) -> [u32; 3] {
    bytemuck::cast::<_, [[u8; 4]; 3]>(*bytes).map(u32::from_le_bytes)
}

/// The scale and minimum of each block of [`Q4_K`] and [`Q5_K`]. The first four blocks have theirs in the
/// low six bits of bytes 0 to 3 and 4 to 7; the others have their low nibbles in bytes 8 to 11, the
/// minimum above the scale, and the rest in the two bits that the first four left.
#[inline(always)]
fn scales_and_minima(bytes: &[u8; 12]) -> [[u8; 2]; BLOCKS] {
    let [scales, minima, low] = words(bytes);
    let planes = [
        scales & 0x3f3f_3f3f,
        low & 0x0f0f_0f0f | scales >> 2 & 0x3030_3030,
        minima & 0x3f3f_3f3f,
        low >> 4 & 0x0f0f_0f0f | minima >> 2 & 0x3030_3030,
    ];
    let planes: [[u8; BLOCKS]; 2] = bytemuck::cast(planes.map(u32::to_le_bytes));
    std::array::from_fn(|j| [planes[0][j], planes[1][j]])
}

/// A word of the GPU layout: two halves, then three words that hold a pair of six-bit numbers for each
/// block: in its nibble the low four bits of the first, of the second, and the two high bits of both.
fn header(halves: [[u8; 2]; 2], pairs: [[u8; 2]; BLOCKS]) -> [u8; 16] {
    let mut planes = [0u32; 3];
    for (j, [a, b]) in pairs.into_iter().enumerate() {
        for (plane, nibble) in planes.iter_mut().zip([a & 15, b & 15, a >> 4 | b >> 4 << 2]) {
            *plane |= u32::from(nibble) << (4 * j);
        }
    }
    let halves = bytemuck::cast(halves);
    let [a, b, c] = planes.map(u32::to_le_bytes);
    bytemuck::cast([halves, a, b, c])
}
