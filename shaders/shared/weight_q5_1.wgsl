// Q5_1: 32 weights = 16 bytes of nibbles as in Q4_0, 4 bytes of fifth bits, an f16 scale and an f16
// minimum; weight = d * q + m. Scales of a block: both halves, then the fifth bits.
#import packed_bits
#import int_five_bits

const SUPER: u32 = 2u;
const SCALE_BYTES: u32 = 64u;
const QUANT_WORDS: u32 = 8u;

struct Scales { words: vec4<u32> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: vec4<u32>, high: u32 }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT), s.words[2u * k + 1u]);
}

// 1 + q / 32.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u), 5u);
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let d_m = unpack2x16float(s.words[2u * k]);
    return vec2<f32>(32.0 * d_m.x, d_m.y - 32.0 * d_m.x);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return unpack2x16float(s.words[2u * k]);
}
