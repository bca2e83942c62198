// IQ4_NL: laid out as Q4_0; weight = d * value(nibble).
#import iq4_values

const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 16u;
const QUANT_WORDS: u32 = 8u;

struct Scales { d: vec4<u32> }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: vec4<u32> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    return Block(word_at(at + k * NEXT));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return iq4_values(nibbles(b.quants[i % 4u], i / 4u));
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(half_of(s.d, k), 0.0);
}
