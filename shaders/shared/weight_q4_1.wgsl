// Q4_1: 32 weights = 16 bytes of nibbles as in Q4_0, an f16 scale and an f16 minimum;
// weight = d * nibble + m.
#import int_nibbles

const SUPER: u32 = 4u;
const SCALE_BYTES: u32 = 32u;
const QUANT_WORDS: u32 = 8u;

struct Scales { d_m: vec4<u32> }

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
    let d_m = unpack2x16float(s.d_m[k]);
    return vec2<f32>(16.0 * d_m.x, d_m.y - 16.0 * d_m.x);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return unpack2x16float(s.d_m[k]);
}
