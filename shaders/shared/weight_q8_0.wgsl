// Q8_0: 32 weights = 32 signed bytes, one f16 scale; weight = d * byte. Scales: one u32 holds those of
// two blocks.
@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> scales: array<u32>;

struct Block { quants: array<vec4<u32>, 2>, d: f32 }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 8u;
    let at = block_index(row, block, n_blocks) * 16u + lane;
    let pair = scales[((row / 8u) * ((n_blocks + 1u) / 2u) + block / 2u) * 8u + lane];
    return Block(array<vec4<u32>, 2>(quants[at], quants[at + 8u]), half_of(pair, block % 2u));
}

// Weights 4 i .. 4 i + 3 of the block.
fn weights(b: Block, i: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(b.quants[i / 4u][i % 4u])) * b.d;
}
