// IQ4_XS: a super-block of 256 weights = eight words of nibbles, each as in Q4_0. Scales: two u32 of the
// half d, the high two bits of the six-bit scale of each block of 32, and the low four.
// weight = d * (scale - 32) * value(nibble).
#import iq4_values
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

// d * (scale - 32).
struct Block { quants: vec4<u32>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let j = block % 8u;
    let word = scales[block_index(row, block / 8u, n_blocks / 8u) * 32u + lane];
    let scale = ((word.y >> (4u * j)) & 15u) | (((word.x >> (16u + 2u * j)) & 3u) << 4u);
    let d = unpack2x16float(word.x).x * (f32(scale) - 32.0);
    return Block(quants_at(block_index(row, block, n_blocks) * 32u + lane), d);
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    return iq4_values(nibbles(b.quants[i % 4u], i / 4u));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, 0.0);
}
