// IQ4_NL: laid out as Q4_0; weight = d * value(nibble).
#import iq4_values
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: vec4<u32>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let pair = scales[((row / 32u) * ((n_blocks + 1u) / 2u) + block / 2u) * 32u + lane];
    return Block(quants_at(block_index(row, block, n_blocks) * 32u + lane), half_of(pair, block % 2u));
}

fn raw(b: Block, i: u32) -> vec4<f32> {
    return iq4_values(nibbles(b.quants[i % 4u], i / 4u));
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(b.d, 0.0);
}
