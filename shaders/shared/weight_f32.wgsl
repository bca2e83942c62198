// F32: 32 weights = eight words of four. There are no scales.
const SUPER: u32 = 8u;
const SCALE_WORDS: u32 = 0u;
const WORDS: u32 = 8u;

struct Scales { none: u32 }

fn load_scales(at: u32) -> Scales {
    return Scales(0u);
}

struct Block { quants: array<vec4<u32>, 8> }

fn load_block(at: u32) -> Block {
    return Block(array<vec4<u32>, 8>(
        word_at(at), word_at(at + NEXT), word_at(at + 2u * NEXT), word_at(at + 3u * NEXT),
        word_at(at + 4u * NEXT), word_at(at + 5u * NEXT), word_at(at + 6u * NEXT), word_at(at + 7u * NEXT),
    ));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(b.quants[i]);
}

fn affine(s: Scales, k: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
