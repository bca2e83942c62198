// Q5_K: blocks of nibbles as in Q4_0. Scales of 256 weights: a header (d, dmin, six-bit scale and minimum
// of each block), then 4 bytes of fifth bits for each block. weight = d * scale * q - dmin * minimum.
#import packed_bits
#import six_bit_pairs
#import int_five_bits

const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 48u;
const QUANT_WORDS: u32 = 8u;

struct Scales { header: vec4<u32>, high: array<vec4<u32>, 2> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at), array<vec4<u32>, 2>(word_at(at + NEXT), word_at(at + 2u * NEXT)));
}

struct Block { quants: vec4<u32>, high: u32 }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT), select(s.high[0][k % 4u], s.high[1][k % 4u], k >= 4u));
}

// 1 + q / 32.
fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u), 5u);
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let d_m = unpack2x16float(s.header.x) * six_bit_pair(s.header, k);
    return vec2<f32>(32.0 * d_m.x, fma(-32.0, d_m.x, -d_m.y));
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, -1.0) * unpack2x16float(s.header.x) * six_bit_pair(s.header, k);
}
