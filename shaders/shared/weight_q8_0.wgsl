// Q8_0: 32 weights = 32 signed bytes, one f16 scale; weight = d * byte. A word of scales holds those of
// eight blocks.
const SUPER: u32 = 8u;
const SCALE_WORDS: u32 = 1u;
const WORDS: u32 = 2u;

struct Scales { d: vec4<u32> }

fn load_scales(at: u32) -> Scales {
    return Scales(word_at(at));
}

struct Block { quants: array<vec4<u32>, 2> }

fn load_block(at: u32) -> Block {
    return Block(array<vec4<u32>, 2>(word_at(at), word_at(at + NEXT)));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(b.quants[i / 4u][i % 4u]));
}

fn affine(s: Scales, k: u32) -> vec2<f32> {
    return vec2<f32>(half_of(s.d, k), 0.0);
}
