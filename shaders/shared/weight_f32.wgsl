// F32: 32 weights = eight words of four. There are no scales.
const SUPER: u32 = 8u;
const SCALE_BYTES: u32 = 0u;
const QUANT_WORDS: u32 = 64u;

struct Scales { none: u32 }

fn load_scales(at: u32, n: u32) -> Scales {
    return Scales(0u);
}

struct Block { quants: array<vec4<u32>, 8> }

fn load_block(s: Scales, at: u32, k: u32) -> Block {
    let first = at + k * 8u * NEXT;
    return Block(array<vec4<u32>, 8>(
        word_at(first), word_at(first + NEXT), word_at(first + 2u * NEXT), word_at(first + 3u * NEXT),
        word_at(first + 4u * NEXT), word_at(first + 5u * NEXT), word_at(first + 6u * NEXT), word_at(first + 7u * NEXT),
    ));
}

fn raw(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(b.quants[i]);
}

fn affine(s: Scales, k: u32, b: Block) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
