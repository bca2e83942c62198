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

/// As [`affine`], for the low nibbles, then the high ones.
#[inline(always)]
pub(super) fn affine_nibbles(bytes: &[u8; BLOCK / 2], d: f32, m: f32, out: &mut [f32; BLOCK]) {
    let bytes = *std::hint::black_box(bytes);
    let mut values = [0.0; BLOCK];
    for i in 0..BLOCK / 2 {
        values[i] = f32::from((bytes[i] & 15) as i8) * d + m;
    }
    for i in 0..BLOCK / 2 {
        values[BLOCK / 2 + i] = f32::from((bytes[i] >> 4) as i8) * d + m;
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

/// As [`affine`], for quants whose fifth bit is bit `i` of `high`.
#[inline(always)]
pub(super) fn affine_five_bits(low: [u8; BLOCK], high: [u8; 4], d: f32, m: f32, out: &mut [f32; BLOCK]) {
    let (low, high) = std::hint::black_box((low, u32::from_le_bytes(high)));
    let mut values = [0.0; BLOCK];
    for i in 0..BLOCK {
        let q = u32::from(low[i]) | (high >> i & 1) << 4;
        values[i] = q as i32 as f32 * d + m;
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

/// Quants of five bits, the fifth of quant i bit i of `high`.
#[inline(always)]
pub(super) fn five_bits(low: [u8; BLOCK], high: [u8; 4]) -> [u8; BLOCK] {
    let mut q = low;
    for i in 0..BLOCK {
        q[i] |= if high[i / 8] & 1 << (i % 8) == 0 { 0 } else { 16 };
    }
    q
}

/// The bits of `mask` from bit `shift` of each byte on. Shifts four bytes at once, because a processor
/// shifts vectors of words but not of bytes.
#[inline(always)]
pub(super) fn field(bytes: &[u8; BLOCK], shift: usize, mask: u8) -> [u8; BLOCK] {
    let mut words: [u32; BLOCK / 4] = bytemuck::cast(*bytes);
    for word in &mut words {
        *word = (*word >> shift) & u32::from_ne_bytes([mask; 4]);
    }
    bytemuck::cast(words)
}

/// `low[i] + high[i] * 2^bits`.
#[inline(always)]
pub(super) fn joined(low: [u8; BLOCK], high: [u8; BLOCK], bits: u32) -> [u8; BLOCK] {
    let mut words: [u32; BLOCK / 4] = bytemuck::cast(low);
    let high: [u32; BLOCK / 4] = bytemuck::cast(high);
    for (word, high) in words.iter_mut().zip(high) {
        *word |= high << bits;
    }
    bytemuck::cast(words)
}

/// The low nibbles of 32 quants: byte i holds quant i and, above it, quant i + 16.
pub(super) fn nibble_plane(q: &[u8; BLOCK]) -> [u8; BLOCK / 2] {
    std::array::from_fn(|i| q[i] & 15 | q[BLOCK / 2 + i] << 4)
}

/// Two bits of each of 32 quants, `shift` from the lowest: bits 2 i of byte k are those of quant 4 i + k,
/// bits 2 i of byte 4 + k those of quant 16 + 4 i + k.
pub(super) fn pair_plane(q: &[u8; BLOCK], shift: u32) -> [u8; BLOCK / 4] {
    std::array::from_fn(|at| {
        let first = at / 4 * 16 + at % 4;
        (0..4).map(|i| ((q[first + 4 * i] >> shift) & 3) << (2 * i)).sum()
    })
}

/// One bit of each of 32 quants, `shift` from the lowest: bit i of byte k is that of quant 4 i + k.
pub(super) fn bit_plane(q: &[u8; BLOCK], shift: u32) -> [u8; 4] {
    std::array::from_fn(|k| (0..8).map(|i| ((q[4 * i + k] >> shift) & 1) << i).sum())
}

/// As [`bit_plane`], of bits in the order of the quants.
pub(super) fn plane_of_bits(bits: [u8; 4]) -> [u8; 4] {
    let bits = u32::from_le_bytes(bits);
    bit_plane(&std::array::from_fn(|i| (bits >> i & 1) as u8), 0)
}
