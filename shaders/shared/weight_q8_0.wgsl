// Q8_0: 32 weights = 32 signed bytes, one f16 scale; weight = d * byte.
#import int_blocks

const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 16u;
const QUANT_WORDS: u32 = 16u;

struct Scales { d: vec4<u32> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: array<vec4<u32>, 2> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    let first = at + k * 2u * NEXT;
    return Block(array<vec4<u32>, 2>(word_at(first), word_at(first + NEXT)));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(b.quants[i / 4u][i % 4u]));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(half_of(s.d, k), 0.0);
}

// The byte + 128.
fn packed(s: Scales, k: u32, b: Block, i: u32) -> u32 {
    return b.quants[i / 4u][i % 4u] ^ 0x80808080u;
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, -128.0) * half_of(s.d, k);
}
