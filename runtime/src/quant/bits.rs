//! What the block layouts share: quants taken out of bytes and scaled, and quants put into the planes of
//! bits that `shaders/shared/packed_bits.wgsl` reads.
//!
//! All are functions, not closures: a closure is compiled without the vector instructions of its caller.

use super::BLOCK;

/// `out[i] = q[i] * d + m`; a quant counts as signed. The hint keeps the compiler from vectorising
/// across blocks instead of within one, which is several times slower.
#[inline(always)]
pub(super) fn affine<const N: usize>(q: [u8; N], d: f32, m: f32, out: &mut [f32; N]) {
    let q = std::hint::black_box(q);
    let mut values = [0.0; N];
    for i in 0..N {
        values[i] = f32::from(q[i] as i8) * d + m;
    }
    *out = values;
}

/// As [`affine`], each half of the block with factors of its own.
#[inline(always)]
pub(super) fn affine_halves(q: [u8; BLOCK], d: [f32; 2], m: [f32; 2], out: &mut [f32; BLOCK]) {
    let q = std::hint::black_box(q);
    let mut values = [0.0; BLOCK];
    for i in 0..BLOCK / 2 {
        values[i] = f32::from(q[i] as i8) * d[0] + m[0];
    }
    for i in BLOCK / 2..BLOCK {
        values[i] = f32::from(q[i] as i8) * d[1] + m[1];
    }
    *out = values;
}

/// The low nibbles, then the high ones.
#[inline(always)]
pub(super) fn nibbles(bytes: &[u8; BLOCK / 2]) -> [u8; BLOCK] {
    let mut q = [0; BLOCK];
    for i in 0..BLOCK / 2 {
        q[i] = bytes[i] & 15;
        q[BLOCK / 2 + i] = bytes[i] >> 4;
    }
    q
}

/// The bits of `mask` from bit `shift` of each byte on.
#[inline(always)]
pub(super) fn field(bytes: &[u8; BLOCK], shift: usize, mask: u8) -> [u8; BLOCK] {
    let mut q = [0; BLOCK];
    for i in 0..BLOCK {
        q[i] = (bytes[i] >> shift) & mask;
    }
    q
}

/// `low[i] + high[i] * 2^bits`.
#[inline(always)]
pub(super) fn joined(low: [u8; BLOCK], high: [u8; BLOCK], bits: u32) -> [u8; BLOCK] {
    let mut q = low;
    for i in 0..BLOCK {
        q[i] |= high[i] << bits;
    }
    q
}

/// Bit `i` of the 32 as byte `i`.
#[inline(always)]
pub(super) fn bits(bytes: [u8; BLOCK / 8]) -> [u8; BLOCK] {
    let mut q = [0; BLOCK];
    for (q, byte) in q.as_chunks_mut::<8>().0.iter_mut().zip(bytes) {
        // Byte k of the product keeps bit k, which the sum then carries to the top of its byte.
        let kept = u64::from(byte).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        *q = (((kept + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101).to_le_bytes();
    }
    q
}

/// The low nibbles of 32 quants: byte i holds quant i and, above it, quant i + 16.
pub(super) fn nibble_plane(q: &[u8; BLOCK]) -> [u8; BLOCK / 2] {
    std::array::from_fn(|i| q[i] & 15 | q[BLOCK / 2 + i] << 4)
}

/// Two bits of each quant of two blocks, `shift` from the lowest: byte i holds, from the lowest bits on,
/// those of quants i and i + 16 of the first block, then of the second.
pub(super) fn pair_plane(blocks: [&[u8; BLOCK]; 2], shift: u32) -> [u8; BLOCK / 2] {
    let two = |block: usize, i: usize| (blocks[block][i] >> shift) & 3;
    std::array::from_fn(|i| two(0, i) | two(0, 16 + i) << 2 | two(1, i) << 4 | two(1, 16 + i) << 6)
}

/// One bit of each of 32 quants, `shift` from the lowest: bit i of byte k is that of quant 4 i + k.
pub(super) fn bit_plane(q: &[u8; BLOCK], shift: u32) -> [u8; BLOCK / 8] {
    std::array::from_fn(|k| (0..8).map(|i| ((q[4 * i + k] >> shift) & 1) << i).sum())
}
