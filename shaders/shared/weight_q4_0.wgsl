// Q4_0: 32 weights = 16 bytes of nibbles, one f16 scale; weight = d * (nibble - 8). Byte i holds
// weight i in its low and weight i + 16 in its high nibble.
#import int_nibbles

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
    return nibbles(b.quants[i % 4u], i / 4u);
}

// raw = 1 + nibble / 16.
fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(16.0, -24.0) * half_of(s.d, k);
}

fn int_factors(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, -8.0) * half_of(s.d, k);
}
