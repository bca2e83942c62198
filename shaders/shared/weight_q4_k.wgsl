// Q4_K: blocks of nibbles as in Q4_0. Scales of 256 weights: a header (d, dmin, six-bit scale and minimum
// of each block). weight = d * scale * nibble - dmin * minimum.
#import six_bit_pairs
#import int_nibbles

const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 16u;
const QUANT_WORDS: u32 = 8u;

struct Scales { header: vec4<u32> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: vec4<u32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return nibbles(b.quants[i % 4u], i / 4u);
}

// raw = 1 + nibble / 16.
fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    let d_m = unpack2x16float(s.header.x) * six_bit_pair(s.header, k);
    return vec2<f32>(16.0 * d_m.x, fma(-16.0, d_m.x, -d_m.y));
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, -1.0) * unpack2x16float(s.header.x) * six_bit_pair(s.header, k);
}
