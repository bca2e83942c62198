// Q5_0: 32 weights = 16 bytes of nibbles as in Q4_0, 4 bytes of fifth bits, one f16 scale;
// weight = d * (q - 16). Scales of two blocks: both halves, then the fifth bits of each.
#import packed_bits
#import int_five_bits

const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 48u;
const QUANT_WORDS: u32 = 8u;

struct Scales { words: array<vec4<u32>, 3> }

// A super-block of fewer blocks has fewer words; those that are missing are not read.
fn load_scales(at: u32, n: u32) -> Scales {
    let second = select(at, at + NEXT, n > 2u);
    let third = select(at, at + 2u * NEXT, n > 5u);
    return Scales(array<vec4<u32>, 3>(word_at(at), word_at(second), word_at(third)));
}

fn scale_at(s: Scales, i: u32) -> u32 {
    let first = select(s.words[0][i % 4u], s.words[1][i % 4u], i >= 4u);
    return select(first, s.words[2][i % 4u], i >= 8u);
}

struct Block { quants: vec4<u32>, high: u32 }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT), scale_at(s, k / 2u * 3u + 1u + k % 2u));
}

// 1 + q / 32.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u), 5u);
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let halves = unpack2x16float(scale_at(s, k / 2u * 3u));
    return vec2<f32>(32.0, -48.0) * select(halves.x, halves.y, k % 2u == 1u);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let halves = unpack2x16float(scale_at(s, k / 2u * 3u));
    return vec2<f32>(1.0, -16.0) * select(halves.x, halves.y, k % 2u == 1u);
}
